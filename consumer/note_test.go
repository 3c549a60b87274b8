package consumer

import (
	"iter"

	"github.com/balanceq/balanceq/kafkawire"
)

// encodeAhead and decodeAhead are notes that do not say which log they are about.
func encodeAhead(next int64, runs iter.Seq[Run], limit int) (string, bool) {
	return encodeNote(logID{}, kafkawire.NoEpoch, next, runs, limit)
}

func decodeAhead(next int64, metadata string) ([]Run, error) {
	n, err := decodeNote(next, metadata)
	return n.ahead, err
}
