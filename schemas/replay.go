package schemas

import "strconv"

// replayHeaders are the names that only the newest replay may set.
var replayHeaders = map[string]bool{
	HeaderReplayCount: true, HeaderReplayOf: true, HeaderReplayRun: true, HeaderReplaySource: true,
}

// ReplayMessage makes the record that puts the request of a dead letter back: its key, value and headers byte for byte
// and in order, without those of the dead-lettering, and behind them the replay's own. run names the replay. Of a
// letter with an Omission it would not be the request.
func ReplayMessage(letter *Record, run string) Message {
	info := ReadDeadLetter(letter)
	h := make(headerList, 0, len(letter.Headers))
	for _, original := range letter.Headers {
		if !deadLetterHeaders[original.Key] && !replayHeaders[original.Key] {
			h = append(h, original)
		}
	}
	h.exact(HeaderReplayCount, strconv.Itoa(info.ReplayCount+1))
	h.exact(HeaderReplayOf, letter.String())
	h.exact(HeaderReplayRun, run)
	source := replaySource(letter)
	if source == "" && info.HasSource {
		source = info.Source.String()
	}
	h.exact(HeaderReplaySource, source)
	m := Message{Key: letter.Key, Value: letter.Value, Headers: h}
	if info.KeyWasNull {
		m.Key = nil
	}
	return m
}

// replaySource is where a replayed request stood first; "" if it has not been replayed.
func replaySource(rec *Record) string {
	source, _ := rec.Header(HeaderReplaySource)
	if !fitsID(source) {
		return ""
	}
	return string(source)
}
