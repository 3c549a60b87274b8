package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"balanceq/kafkawire"
)

// run is a stretch of offsets: from, and everything up to to, which is not in it.
type run struct{ from, to int64 }

// aheadLimit bounds what encodeAhead returns, in characters. Brokers refuse more than offset.metadata.max.bytes (by default
// 4096, https://kafka.apache.org/documentation/#brokerconfigs_offset.metadata.max.bytes).
const aheadLimit = 4000

// aheadVersion begins the encoded form. It is no ASCII character and none of the small numbers that other programs begin
// theirs with.
const aheadVersion = 0xb1

// aheadEncoding is ASCII: brokers count characters and mangle what is not UTF-8.
var aheadEncoding = base64.RawURLEncoding.Strict()

// encodeAhead writes the runs, which lie above the commit offset next in ascending order and do not touch, as metadata of
// that commit: the version, next, then for each run its distance from the end of the one before (the first: from next) and
// its length, all as uvarint, in base64. The lowest runs are written, as many as fit into limit characters; all says
// whether that is all of them. Without any run there is no metadata.
//
// next is in it although the group stores it too: who copies a commit to another cluster (MirrorMaker) translates the
// offset and not what is relative to it.
func encodeAhead(next int64, runs iter.Seq[run], limit int) (metadata string, all bool) {
	b := binary.AppendUvarint([]byte{aheadVersion}, uint64(next))
	head, end := len(b), next
	all = true
	for r := range runs {
		size := len(b)
		b = binary.AppendUvarint(b, uint64(r.from-end))
		b = binary.AppendUvarint(b, uint64(r.to-r.from))
		if aheadEncoding.EncodedLen(len(b)) > limit {
			b, all = b[:size], false
			break
		}
		end = r.to
	}
	if len(b) == head {
		return "", all
	}
	return aheadEncoding.EncodeToString(b), all
}

// decodeAhead reads what encodeAhead wrote for a commit of next. Everything else is an error: a run too many would be
// records that nobody answers. No metadata is no runs.
func decodeAhead(next int64, metadata string) ([]run, error) {
	if metadata == "" {
		return nil, nil
	}
	if len(metadata) > aheadLimit {
		return nil, fmt.Errorf("%d characters are more than this program writes", len(metadata))
	}
	b, err := aheadEncoding.DecodeString(metadata)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] != aheadVersion {
		return nil, errors.New("another version's, or another program's")
	}
	b = b[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt64 {
			err = errors.New("a number is broken")
			return 0
		}
		b = b[n:]
		return v
	}
	of := int64(number())
	if err != nil {
		return nil, err
	}
	if of != next {
		return nil, fmt.Errorf("written for offset %d, not for %d", of, next)
	}
	var runs []run
	for end := next; len(b) > 0; {
		gap, length := int64(number()), int64(number())
		if err != nil {
			return nil, err
		}
		if gap == 0 || length == 0 || gap > math.MaxInt64-end || length > math.MaxInt64-end-gap {
			return nil, fmt.Errorf("run %d is impossible: %d offsets, %d after the one before", len(runs), length, gap)
		}
		runs = append(runs, run{from: end + gap, to: end + gap + length})
		end += gap + length
	}
	return runs, nil
}

// finishedAhead reads which records above the committed offset are finished. Anybody may have committed it, so whatever it
// does not understand says nothing.
func (c *Consumer) finishedAhead(id int32, o kafkawire.OffsetAndMetadata) []run {
	ahead, err := decodeAhead(o.Offset, o.Metadata)
	if err != nil {
		c.log.Debug().Err(err).Int32("partition", id).Int64("offset", o.Offset).Int("characters", len(o.Metadata)).
			Msg("the committed metadata is not ours: whatever was answered above the offset is answered again")
	}
	return ahead
}
