package consumer

import "iter"

// encodeAhead and decodeAhead are notes that do not say which log they are about.
func encodeAhead(next int64, runs iter.Seq[Run], limit int) (string, bool) {
	return encodeNote(logID{}, next, runs, limit)
}

func decodeAhead(next int64, metadata string) ([]Run, error) {
	_, runs, err := decodeNote(next, metadata)
	return runs, err
}
