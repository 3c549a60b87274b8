package consumer

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

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

// noteVersion begins the encoded form; noteLogVersion one that says which log it is about, and noteEpochVersion one
// that says how new what was read of that was. They are no ASCII characters and none of the small numbers that other
// programs begin theirs with.
const (
	noteVersion      = 0xb1
	noteLogVersion   = 0xb2
	noteEpochVersion = 0xb3
)

// note is the metadata of a commit.
type note struct {
	log   logID
	epoch int32 // no run has a record that was written under a later one; kafkawire.NoEpoch: that is not known
	ahead []Run // that are finished above the offset
}

// aheadEncoding is ASCII: brokers count characters and mangle what is not UTF-8.
var aheadEncoding = base64.RawURLEncoding.Strict()

// encodeNote writes the log and the runs, which lie above the commit offset next in ascending order and do not touch,
// as metadata of that commit: the version, next, the topic id (16 bytes), the cluster (4 bytes, big-endian), the epoch,
// then for each run its distance from the end of the one before (the first: from next) and its length, all numbers as
// uvarint, in base64. Where the log is not known, it is left out, and so is the epoch without a log or a run. The
// lowest runs are written, as many as fit into limit characters; all says whether that is all of them. Without log or
// run there is no metadata.
//
// next is in it although the group stores it too: who copies a commit to another cluster (MirrorMaker) translates the
// offset and not what is relative to it.
func encodeNote(
	log logID, epoch int32, next int64, runs iter.Seq[Run], limit int,
) (metadata string, all bool) {
	b := binary.AppendUvarint([]byte{noteVersion}, uint64(next)) //nolint:gosec // an offset
	if log.known() {
		b[0] = noteLogVersion
		b = append(b, log.topic[:]...)
		b = binary.BigEndian.AppendUint32(b, log.cluster)
	}
	plain := b
	if log.known() && epoch != kafkawire.NoEpoch {
		b = binary.AppendUvarint(slices.Clone(b), uint64(epoch)) //nolint:gosec // it is not negative
		b[0] = noteEpochVersion
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
	if len(b) == head {
		b = plain
	}
	if len(b) == len(plain) && !log.known() || aheadEncoding.EncodedLen(len(b)) > limit {
		return "", all
	}
	return aheadEncoding.EncodeToString(b), all
}

// decodeNote reads what encodeNote wrote for a commit of next. Everything else is an error: a run too many would be
// records that are never answered. No metadata is no runs, and an unknown log.
func decodeNote(next int64, metadata string) (note, error) {
	unknown := note{epoch: kafkawire.NoEpoch}
	if metadata == "" {
		return unknown, nil
	}
	if len(metadata) > aheadLimit {
		return unknown, fmt.Errorf("%d characters are more than this program writes", len(metadata))
	}
	b, err := aheadEncoding.DecodeString(metadata)
	if err != nil {
		return unknown, err
	}
	if len(b) == 0 || b[0] < noteVersion || b[0] > noteEpochVersion {
		return unknown, errors.New("another version's, or another program's")
	}
	version := b[0]
	of, b, err := decodeNumber(b[1:])
	if err != nil {
		return unknown, err
	}
	if of != next {
		return unknown, fmt.Errorf("written for offset %d, not for %d", of, next)
	}
	n := unknown
	if version >= noteLogVersion {
		if len(b) < len(n.log.topic)+4 {
			return unknown, errors.New("the topic id is cut off")
		}
		b = b[copy(n.log.topic[:], b):]
		n.log.cluster, b = binary.BigEndian.Uint32(b), b[4:]
	}
	if version == noteEpochVersion {
		var epoch int64
		if epoch, b, err = decodeNumber(b); err != nil || epoch > math.MaxInt32 {
			return unknown, cmp.Or(err, errNumber)
		}
		n.epoch = int32(epoch) //nolint:gosec // see above
	}
	if n.ahead, err = decodeRuns(next, b); err != nil {
		return unknown, err
	}
	return n, nil
}

var errNumber = errors.New("a number is broken")

func decodeNumber(b []byte) (n int64, rest []byte, err error) {
	v, size := binary.Uvarint(b)
	if size <= 0 || v > math.MaxInt64 {
		return 0, nil, errNumber
	}
	return int64(v), b[size:], nil
}

func decodeRuns(next int64, b []byte) ([]Run, error) {
	var runs []Run
	for end := next; len(b) > 0; {
		gap, rest, err := decodeNumber(b)
		if err != nil {
			return nil, err
		}
		var length int64
		if length, b, err = decodeNumber(rest); err != nil {
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

// readNote reads what a commit says beside its offset. Anybody may have committed it, so whatever it does not
// understand says nothing.
func (c *Consumer) readNote(id int32, o kafkawire.OffsetAndMetadata) note {
	n, err := decodeNote(o.Offset, o.Metadata)
	if err != nil {
		c.log.Debug().Err(err).Int32("partition", id).Int64("offset", o.Offset).Int("characters", len(o.Metadata)).
			Msg("the committed metadata is not of this program: whatever was answered above the offset is answered again")
	}
	return n
}

// startAt is the position that was committed in this log, with this note.
func startAt(log logID, o kafkawire.OffsetAndMetadata, n note) position {
	if n.log != log {
		n.epoch = kafkawire.NoEpoch // another cluster's log, of which this one is a copy, has epochs of its own
	}
	return position{log: log, committed: o, start: o.Offset, epoch: n.epoch, ahead: n.ahead}
}

// below are the runs, or their parts, below an offset.
func below(runs iter.Seq[Run], offset int64) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		for r := range runs {
			if r.From >= offset || !yield(Run{r.From, min(r.To, offset)}) {
				return
			}
		}
	}
}

// note is a commit of the offset with what is known about it. It requires mu.
func (p *partition) note(offset int64, above iter.Seq[Run], limit int) (o kafkawire.OffsetAndMetadata, all bool) {
	o = kafkawire.OffsetAndMetadata{Offset: offset, Epoch: p.epochs.at(offset)}
	read := max(p.noteEpoch, p.epochs[len(p.epochs)-1].Epoch) // they do not descend
	if p.noteEpoch == kafkawire.NoEpoch && len(p.tracker.ahead) > 0 {
		read = kafkawire.NoEpoch // of what a former owner names
	}
	o.Metadata, all = encodeNote(p.log, read, offset, above, limit)
	return o, all
}

func none(func(Run) bool) {}
