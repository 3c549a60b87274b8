package schemas

import "strconv"

// replayHeaders are the names that only the newest replay may set.
var replayHeaders = map[string]bool{
	HeaderReplayCount: true, HeaderReplayOf: true, HeaderReplayRun: true, HeaderReplaySource: true,
	HeaderReplayTraceparent: true,
}

// ReplayMessage makes the record that puts the request of a dead letter back: its key, value and headers byte for byte
// and in order, without those of the dead-lettering, and behind them the replay's own. run names the replay. Of a
// letter with an Omission it would not be the request.
//
// Where the replay is traced, its context takes the place of the request's. The first one that was replaced so is kept
// in a header of its own.
func ReplayMessage(letter *Record, run string, trace Trace) Message {
	info := ReadDeadLetter(letter)
	h := make(headerList, 0, len(letter.Headers))
	for _, original := range letter.Headers {
		if deadLetterHeaders[original.Key] || replayHeaders[original.Key] ||
			trace.Parent != nil && (original.Key == HeaderTraceparent || original.Key == HeaderTracestate) {
			continue
		}
		h = append(h, original)
	}
	h = trace.append(h)
	h.exact(HeaderReplayCount, strconv.Itoa(info.ReplayCount+1))
	h.exact(HeaderReplayOf, letter.String())
	h.exact(HeaderReplayRun, run)
	source := replaySource(letter)
	if source == "" && info.HasSource {
		source = info.Source.String()
	}
	h.exact(HeaderReplaySource, source)
	first := FirstTrace(letter)
	if _, replaced := letter.Header(HeaderReplayTraceparent); replaced || trace.Parent != nil {
		h.exact(HeaderReplayTraceparent, string(first.Parent))
	}
	m := Message{Key: letter.Key, Value: letter.Value, Headers: h}
	if info.KeyWasNull {
		m.Key = nil
	}
	return m
}

// FirstTrace is the trace context that the request of a dead letter brought before a replay replaced it; it may be
// none.
func FirstTrace(letter *Record) Trace {
	if first, replaced := letter.Header(HeaderReplayTraceparent); replaced {
		return newTrace(first, nil)
	}
	return ReadTrace(letter)
}

// DeadTrace is the trace context of the span that wrote a dead letter; none, where that was not traced.
func DeadTrace(letter *Record) Trace {
	parent, _ := letter.Header(HeaderDeadTraceparent)
	return newTrace(parent, nil)
}

// replaySource is where a replayed request stood first; "" if it has not been replayed.
func replaySource(rec *Record) string {
	source, _ := rec.Header(HeaderReplaySource)
	if !fitsID(source) {
		return ""
	}
	return string(source)
}
