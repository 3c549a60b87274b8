package deadletter

import (
	"slices"
	"strings"

	"github.com/balanceq/balanceq/schemas"
)

// Letter is a dead letter: the original record's key, value and headers, with the headers of the dead letter behind
// them. What it says is read when it is asked for, since most letters of a long scan are only counted.
type Letter struct {
	*schemas.Record
	info    *schemas.DeadLetterInfo
	request *request
}

type request struct {
	schemas.Request
	err error
}

// Read takes any record for a dead letter: what it does not say is absent.
func Read(rec *schemas.Record) *Letter { return &Letter{Record: rec} }

// Clone returns a letter with bytes of its own. Those of a scan keep a whole answer of the brokers in memory.
func (l *Letter) Clone() *Letter {
	size := len(l.Key) + len(l.Value)
	for _, h := range l.Headers {
		size += len(h.Value)
	}
	room := make([]byte, 0, size)
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		room = append(room, b...)
		return room[len(room)-len(b) : len(room) : len(room)]
	}
	rec := *l.Record
	rec.Key, rec.Value, rec.Headers = own(l.Key), own(l.Value), slices.Clone(l.Headers)
	for i := range rec.Headers {
		rec.Headers[i] = schemas.Header{Key: strings.Clone(rec.Headers[i].Key), Value: own(rec.Headers[i].Value)}
	}
	return Read(&rec)
}

// Info is what its headers say.
func (l *Letter) Info() *schemas.DeadLetterInfo {
	if l.info == nil {
		info := schemas.ReadDeadLetter(l.Record)
		l.info = &info
	}
	return l.info
}

// Recognised says whether it has any header of a dead letter, balanceq's or Kafka's. Otherwise it came into the topic
// by another way.
func (l *Letter) Recognised() bool {
	return slices.ContainsFunc(l.Headers, func(h schemas.Header) bool {
		return h.Key == schemas.HeaderReason || strings.HasPrefix(h.Key, errorsPrefix)
	})
}

// errorsPrefix is how Kafka's own names begin (KIP-1191).
const errorsPrefix = "__dlq.errors."

// NoPosition stands for the position of a request where its letter does not tell it: a request without an id of its own
// is called by its position, and the letter's would be the wrong one.
var NoPosition = schemas.Position{Partition: -1, Offset: -1}

// Original is the record with the position at which its request stood, NoPosition if the letter does not tell that.
func (l *Letter) Original() *schemas.Record {
	original := *l.Record
	original.Position = NoPosition
	if l.Info().HasSource {
		original.Position = l.Info().Source
	}
	return &original
}

// Request is what the original asked for. The error says why it is no valid request; then only some of it is known.
func (l *Letter) Request() (schemas.Request, error) {
	if l.request == nil {
		r, err := schemas.DecodeRequest(l.Original())
		if r.ID == NoPosition.String() {
			r.ID = l.Info().RequestID
		}
		l.request = &request{r, err}
	}
	return l.request.Request, l.request.err
}

// text is a header as it is, without the cleaning that Info does: to be compared, not to be shown.
func (l *Letter) text(header string) string {
	value, _ := l.Header(header)
	return string(value)
}

// knownReason is its reason; "" if this version does not know it.
func (l *Letter) knownReason() schemas.Reason {
	if reason := schemas.Reason(l.text(schemas.HeaderReason)); slices.Contains(schemas.Reasons, reason) {
		return reason
	}
	return ""
}
