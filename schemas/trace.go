package schemas

import "encoding/hex"

// Headers of W3C Trace Context (https://www.w3.org/TR/trace-context-2/), in records and in HTTP requests alike. An
// event may bring the same as attributes (CloudEvents Distributed Tracing extension).
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"

	HeaderEventTraceparent = "ce_traceparent"
	HeaderEventTracestate  = "ce_tracestate"
)

// Trace is a trace context as it stands in headers. The zero value is none.
type Trace struct {
	Parent []byte // traceparent, valid; nil: none
	State  []byte // tracestate, as it came; nil: none
}

const (
	// maxTrace bounds both headers, in bytes: what the specification wants carried of a tracestate, and far more than
	// a traceparent of this version has.
	maxTrace = 512
	// lengths and places in a traceparent: version-traceid-parentid-flags
	traceparentLength = 55
	traceIDAt         = 3
	spanIDAt          = 36
	flagsAt           = 53
)

// ReadTrace returns the trace context that a record brings: that of its headers, else that of the event in them. Of
// several headers of a name the last one counts. What is malformed counts as none. The texts alias the record.
func ReadTrace(rec *Record) Trace {
	if len(rec.Headers) == 0 {
		return Trace{}
	}
	parent, there := rec.Header(HeaderTraceparent)
	if there {
		state, _ := rec.Header(HeaderTracestate)
		return newTrace(parent, state)
	}
	parent, there = rec.Header(HeaderEventTraceparent)
	if !there {
		return Trace{}
	}
	state, _ := rec.Header(HeaderEventTracestate)
	return newTrace(parent, state)
}

// newTrace is none without a valid parent: a state means nothing without.
func newTrace(parent, state []byte) Trace {
	if !validTraceparent(parent) {
		return Trace{}
	}
	if !visible(state) {
		state = nil
	}
	return Trace{parent, state}
}

// validTraceparent follows §2.2 and §4.3 of the specification: version 00 has exactly its four fields; a later one
// may go on behind them; ff is none. Letters are small, and neither id is all zeros.
func validTraceparent(t []byte) bool {
	if len(t) < traceparentLength || t[2] != '-' || t[spanIDAt-1] != '-' || t[flagsAt-1] != '-' {
		return false
	}
	version, flags := t[:2], t[flagsAt:traceparentLength]
	if !isHex(version) || !isHex(flags) || string(version) == "ff" {
		return false
	}
	if rest := t[traceparentLength:]; len(rest) > 0 && (string(version) == "00" || rest[0] != '-' || !visible(t)) {
		return false
	}
	return isID(t[traceIDAt:spanIDAt-1]) && isID(t[spanIDAt:flagsAt-1])
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isID says whether it is hexadecimal and not all zeros.
func isID(b []byte) bool {
	var some byte
	for _, c := range b {
		some |= c ^ '0'
	}
	return some != 0 && isHex(b)
}

// visible says whether a text may go into an HTTP header: not empty, printable ASCII, and no longer than maxTrace.
func visible(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxTrace
}

// Sampled says that the caller records this trace.
func (t Trace) Sampled() bool {
	if t.Parent == nil {
		return false
	}
	switch t.Parent[traceparentLength-1] { // the lowest bit of the flags
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}

// IDs returns what a traceparent names. The zero values are none.
func (t Trace) IDs() (trace [16]byte, span [8]byte) {
	if t.Parent != nil {
		_, _ = hex.Decode(trace[:], t.Parent[traceIDAt:spanIDAt-1]) // checked
		_, _ = hex.Decode(span[:], t.Parent[spanIDAt:flagsAt-1])
	}
	return trace, span
}

// headers is how many headers append appends at most.
func (t Trace) headers() int {
	if t.Parent == nil {
		return 0
	}
	return 4
}

// append appends the headers of the trace, if there is one, and the attributes that say the same to those who read the
// record as an event.
func (t Trace) append(h []Header) []Header {
	if t.Parent != nil {
		h = append(h, Header{Key: HeaderTraceparent, Value: t.Parent}, Header{Key: HeaderEventTraceparent, Value: t.Parent})
	}
	if t.State != nil {
		h = append(h, Header{Key: HeaderTracestate, Value: t.State}, Header{Key: HeaderEventTracestate, Value: t.State})
	}
	return h
}
