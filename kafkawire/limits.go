package kafkawire

import "unsafe" // for Sizeof alone

// What a record may have for a consumer to be given it whole. A topic's max.message.bytes is 1 MiB by default, and what
// is documented for requests is 64 KiB of value, and of key and headers.
const (
	MaxRecordBytes   = 4 << 20 // key, value, headers and their lengths
	MaxRecordHeaders = 4096
)

// Oversized stands for what was not read of a record: it is beyond a limit, or cannot be decompressed within the memory
// that decoding may use. The record's offset and time are known then, and its key if that is no longer than 64 KiB;
// value and headers are nil. It has no name of its own as a type, so that it is the same in schemas.
type Oversized = struct {
	Why     string   // for people
	Size    int64    // bytes of the encoded record; -1: not known
	Headers int64    // how many; -1: not known
	Value   int64    // bytes of the value; -1: null, or not known
	SHA256  [32]byte // of the value; zero where that is null or not known
}

// DecodeLimits bound what is decoded at once. Zero values have defaults.
type DecodeLimits struct {
	Portion int // bytes of memory for what is handed out, records and headers included; the last record may go beyond it
	// Step, if set, has decoding stop after so many bytes of memory already where nothing is lost by that: between two
	// batches, and in one that is not compressed. What follows is a Portion's Rest.
	Step    int
	Record  int // bytes of one encoded record; MaxRecordBytes
	Headers int // of one record; MaxRecordHeaders
}

// defaultPortion is what ordinary batches of a fetch hardly reach, and as much as the largest record.
const defaultPortion = 4 << 20

func (l DecodeLimits) orDefault() DecodeLimits {
	for _, d := range []struct {
		of *int
		is int
	}{{&l.Portion, defaultPortion}, {&l.Record, MaxRecordBytes}, {&l.Headers, MaxRecordHeaders}} {
		if *d.of <= 0 {
			*d.of = d.is
		}
	}
	return l
}

// What decoded records take up besides their bytes.
const (
	recordMemory = int(unsafe.Sizeof(Record{}))
	headerMemory = int(unsafe.Sizeof(Header{}))
)
