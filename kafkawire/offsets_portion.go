package kafkawire

import (
	"iter"
	"maps"
	"slices"
)

// maxCommit bounds what one commit has the group's coordinator write. It writes the records of a request as one batch,
// and refuses all of it (INVALID_COMMIT_OFFSET_SIZE) if that is larger than max.message.bytes of __consumer_offsets, by
// default 1 MiB: 8000 partitions, or 250 with full metadata. Half of that is left to names and metadata in UTF-8.
const maxCommit = 512 << 10

// commitRecord is what a partition takes of it besides names and metadata: two numbers and the version of the key;
// offset, epoch, times and lengths of the value; what a record has of its own.
const commitRecord = 80

// commitPortions divides offsets into what one request may commit, in ascending order of partitions.
func commitPortions(group, topic string, offsets map[int32]OffsetAndMetadata) iter.Seq[map[int32]OffsetAndMetadata] {
	return func(yield func(map[int32]OffsetAndMetadata) bool) {
		portion, size := map[int32]OffsetAndMetadata{}, 0
		for _, partition := range slices.Sorted(maps.Keys(offsets)) {
			o := offsets[partition]
			takes := commitRecord + len(group) + len(topic) + len(o.Metadata)
			if size+takes > maxCommit && len(portion) > 0 {
				if !yield(portion) {
					return
				}
				portion, size = map[int32]OffsetAndMetadata{}, 0
			}
			portion[partition] = o
			size += takes
		}
		yield(portion) // also where there is nothing to commit: whether the group takes it is an answer
	}
}
