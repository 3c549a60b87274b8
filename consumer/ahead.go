package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/balanceq/balanceq/kafkawire"
)

// aheadLimit bounds what encodeAhead returns, in characters. Brokers refuse more than offset.metadata.max.bytes (by
// default 4096, https://kafka.apache.org/documentation/#brokerconfigs_offset.metadata.max.bytes).
const aheadLimit = 4000

// noteRate bounds what a partition whose offset stands still commits, in characters a second: with a full note every
// half second instead of ten times one. A crash repeats what finished since.
const noteRate = 8 << 10

// minNote is the room that encodeNote needs for the log alone.
const minNote = 64

// noteVersion begins the encoded form; noteLogVersion one that says which log it is about. They are no ASCII characters
// and none of the small numbers that other programs begin theirs with.
const (
	noteVersion    = 0xb1
	noteLogVersion = 0xb2
)

// aheadEncoding is ASCII: brokers count characters and mangle what is not UTF-8.
var aheadEncoding = base64.RawURLEncoding.Strict()

// encodeNote writes the log and the runs, which lie above the commit offset next in ascending order and do not touch,
// as metadata of that commit: the version, next, the topic id (16 bytes), the cluster (4 bytes, big-endian), then for
// each run its distance from the end of the one before (the first: from next) and its length, all these numbers as
// uvarint, in base64. Where the log is not known, it is left out. The lowest runs are written, as many as fit into
// limit characters; all says whether that is all of them. Without log or run there is no metadata.
//
// next is in it although the group stores it too: who copies a commit to another cluster (MirrorMaker) translates the
// offset and not what is relative to it.
func encodeNote(log logID, next int64, runs iter.Seq[Run], limit int) (metadata string, all bool) {
	version := byte(noteVersion)
	if log.known() {
		version = noteLogVersion
	}
	b := binary.AppendUvarint([]byte{version}, uint64(next)) //nolint:gosec // an offset
	if log.known() {
		b = append(b, log.topic[:]...)
		b = binary.BigEndian.AppendUint32(b, log.cluster)
	}
	head, end := len(b), next
	all = true
	for r := range runs {
		size := len(b)
		b = binary.AppendUvarint(b, uint64(r.From-end))  //nolint:gosec // the runs ascend
		b = binary.AppendUvarint(b, uint64(r.To-r.From)) //nolint:gosec // and are not empty
		if aheadEncoding.EncodedLen(len(b)) > limit {
			b, all = b[:size], false
			break
		}
		end = r.To
	}
	if len(b) == head && !log.known() || aheadEncoding.EncodedLen(len(b)) > limit {
		return "", all
	}
	return aheadEncoding.EncodeToString(b), all
}

// decodeNote reads what encodeNote wrote for a commit of next. Everything else is an error: a run too many would be
// records that are never answered. No metadata is no runs, and an unknown log.
func decodeNote(next int64, metadata string) (log logID, runs []Run, err error) {
	if metadata == "" {
		return logID{}, nil, nil
	}
	if len(metadata) > aheadLimit {
		return logID{}, nil, fmt.Errorf("%d characters are more than this program writes", len(metadata))
	}
	b, err := aheadEncoding.DecodeString(metadata)
	if err != nil {
		return logID{}, nil, err
	}
	if len(b) == 0 || b[0] != noteVersion && b[0] != noteLogVersion {
		return logID{}, nil, errors.New("another version's, or another program's")
	}
	version := b[0]
	of, size := binary.Uvarint(b[1:])
	if size <= 0 || of > math.MaxInt64 {
		return logID{}, nil, errors.New("a number is broken")
	}
	if int64(of) != next {
		return logID{}, nil, fmt.Errorf("written for offset %d, not for %d", of, next)
	}
	b = b[1+size:]
	if version == noteLogVersion {
		if len(b) < len(log.topic)+4 {
			return logID{}, nil, errors.New("the topic id is cut off")
		}
		b = b[copy(log.topic[:], b):]
		log.cluster, b = binary.BigEndian.Uint32(b), b[4:]
	}
	if runs, err = decodeRuns(next, b); err != nil {
		return logID{}, nil, err
	}
	return log, runs, nil
}

func decodeRuns(next int64, b []byte) ([]Run, error) {
	var err error
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt64 {
			err = errors.New("a number is broken")
			return 0
		}
		b = b[n:]
		return v
	}
	var runs []Run
	for end := next; len(b) > 0; {
		gap, length := int64(number()), int64(number()) //nolint:gosec // what wraps around is refused below
		if err != nil {
			return nil, err
		}
		if gap == 0 || length == 0 || gap > math.MaxInt64-end || length > math.MaxInt64-end-gap {
			return nil, fmt.Errorf("run %d is impossible: %d offsets, %d after the one before", len(runs), length, gap)
		}
		runs = append(runs, Run{From: end + gap, To: end + gap + length})
		end += gap + length
	}
	return runs, nil
}

// readNote reads which log a commit is about, and which records above it are finished. Anybody may have committed it,
// so whatever it does not understand says nothing.
func (c *Consumer) readNote(id int32, o kafkawire.OffsetAndMetadata) (logID, []Run) {
	log, ahead, err := decodeNote(o.Offset, o.Metadata)
	if err != nil {
		c.log.Debug().Err(err).Int32("partition", id).Int64("offset", o.Offset).Int("characters", len(o.Metadata)).
			Msg("the committed metadata is not of this program: whatever was answered above the offset is answered again")
	}
	return log, ahead
}

// note is a commit of the offset with what is known about it. It requires mu.
func (p *partition) note(offset int64, above iter.Seq[Run], limit int) (o kafkawire.OffsetAndMetadata, all bool) {
	o = kafkawire.OffsetAndMetadata{Offset: offset, Epoch: p.epochs.at(offset)}
	o.Metadata, all = encodeNote(p.log, offset, above, limit)
	return o, all
}

func none(func(Run) bool) {}
