package schemas

import (
	"strconv"
	"time"

	"github.com/balanceq/balanceq/internal/poison"
)

// appendTime appends t in UTC with milliseconds, e.g. 2026-01-31T11:59:58.250Z: what a Kafka timestamp holds and every
// reader of RFC 3339 understands. It is the layout "2006-01-02T15:04:05.000Z07:00"; package time has a fast way for
// RFC3339 only.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	//nolint:gosec // digits
	return append(dst[:len(dst)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// FormatTime is RFC 3339 in UTC with milliseconds, which is what Kafka has of a time. A time stamp that another writer
// has set may lie in a year that RFC 3339 does not know; then it has more digits.
func FormatTime(t time.Time) string { return string(appendTime(nil, t)) }

// AppendJSON appends the result as v1/balance-result.schema.json describes it. Left out are: contractId where it is 0
// (the request that failed could not be read), correlationId and cmsCorrelationId where they are empty, an absent
// currency or value of a balance, and the reason of anything but a failure.
func (r *Result) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"requestId":`...)
	dst = appendString(dst, r.RequestID)
	if r.ContractID != 0 {
		dst = append(dst, `,"contractId":"`...)
		dst = strconv.AppendInt(dst, r.ContractID, 10)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"outcome":`...)
	dst = appendString(dst, r.Outcome)
	if r.Outcome == OutcomeFailed {
		dst = appendMember(dst, "reason", string(r.Reason))
	}
	dst = append(dst, `,"balances":[`...)
	for i := range r.Balances {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = r.Balances[i].appendJSON(dst)
	}
	dst = append(dst, `],"missingBalanceCodes":`...)
	dst = appendStrings(dst, r.MissingBalanceCodes)
	dst = append(dst, `,"retrievedAt":"`...)
	dst = appendTime(dst, r.RetrievedAt)
	dst = append(dst, '"')
	dst = appendMember(dst, "correlationId", r.CorrelationID)
	dst = appendMember(dst, "cmsCorrelationId", r.CMSCorrelationID)
	dst = append(dst, `,"source":{"topic":`...)
	dst = appendString(dst, r.Source.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(r.Source.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, r.Source.Offset, 10)
	return append(dst, '}', '}')
}

func (b *Balance) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"balanceCode":`...)
	dst = appendString(dst, b.Code)
	dst = append(dst, `,"balanceId":`...)
	dst = appendString(dst, b.ID)
	dst = appendMember(dst, "balanceCurrency", b.Currency)
	dst = appendMember(dst, "balanceValue", b.Value)
	return append(dst, '}')
}

// Values that all results share; they are never changed.
var (
	jsonContentType  = []byte("application/json")
	framedType       = []byte("application/octet-stream")
	eventSpecVersion = []byte("1.0")
	resultEventType  = []byte(ResultEventType)
	resultDataSchema = []byte(ResultDataSchema)
)

// Message returns the result as a record: key is the request's key; where that is null, the key is the contract id in
// decimal, so that the results of one contract stay in order. The headers make it a CloudEvents event in binary mode:
//
//   - ce_id is the request's position and the log in which it was counted,
//     "topic/partition/offset@topic-id.leader-epoch", without what follows the position where that is not known. A
//     redelivered request gives the same id again, so consumers can drop what they have seen; a replayed dead letter,
//     or a request at the same position of a topic that was made again, is another record and gives another id.
//   - ce_source is "balanceq/" and the request topic.
//   - ce_time is RetrievedAt, and so is the record's timestamp.
//   - There is no ce_subject: headers get logged, and a contract id has room for a card number.
//
// With a SchemaID, a registry's frame stands before the JSON, and the content type is application/octet-stream: that of
// an event in binary mode says what the whole value is, and what passes events on in another form would break the frame
// of one that it takes for JSON.
//
// Behind these are traceparent and tracestate, if there is a trace, and what comes back of the request's headers.
func (r *Result) Message(key []byte) Message { return r.MessageIn(new(Room), key) }

// Room is memory for a message. What is made in one is good until the next message is made in it. The zero value has
// none yet.
type Room struct {
	bytes   []byte
	headers []Header
}

// MessageIn is Message in memory that is used again.
func (r *Result) MessageIn(room *Room, key []byte) Message {
	b := room.bytes[:0]
	if b == nil {
		b = make([]byte, 0, r.sizeHint())
	}
	b = r.AppendJSON(appendFrame(b, r.SchemaID))
	value := len(b)
	b = r.Log.append(r.Source.append(b))
	id := len(b)
	b = append(append(b, "balanceq/"...), r.Source.Topic...)
	source := len(b)
	b = appendTime(b, r.RetrievedAt)
	at := len(b)
	ownKey := key == nil && r.ContractID != 0
	if ownKey {
		b = strconv.AppendInt(b, r.ContractID, 10)
	}
	// Each part is cut with its own capacity, so that appending to one cannot touch the next; and only now, when b does
	// not grow any more.
	part := func(from, to int) []byte { return b[from:to:to] }
	if ownKey {
		key = part(at, len(b))
	}
	contentType := jsonContentType
	if r.SchemaID != 0 {
		contentType = framedType
	}
	headers := room.headers[:0]
	if headers == nil {
		headers = make([]Header, 0, 7+r.Trace.headers()+len(r.Echo))
	}
	headers = append(r.Trace.append(append(headers,
		Header{Key: HeaderEventSpecVersion, Value: eventSpecVersion},
		Header{Key: HeaderEventID, Value: part(value, id)},
		Header{Key: HeaderEventSource, Value: part(id, source)},
		Header{Key: HeaderEventType, Value: resultEventType},
		Header{Key: HeaderEventTime, Value: part(source, at)},
		Header{Key: HeaderEventDataSchema, Value: resultDataSchema},
		Header{Key: HeaderContentType, Value: contentType},
	)), r.Echo...)
	room.bytes, room.headers = b, headers
	return Message{Key: key, Value: part(0, value), Headers: headers, Time: r.RetrievedAt}
}

// Reset lets go of what the message had of others, and says whether the room is worth keeping.
func (r *Room) Reset() bool {
	const most = 4 << 10 // an answer with all of a hundred codes has some 10 kB
	clear(r.headers)
	poison.Bytes(r.bytes)
	return cap(r.bytes) <= most && cap(r.headers) <= 32
}

// sizeHint estimates the length of all texts of the message from above, for text without escapes.
func (r *Result) sizeHint() int {
	n := 440 + len(r.RequestID) + len(r.CorrelationID) + len(r.CMSCorrelationID) + 3*len(r.Source.Topic) +
		len(r.Log.TopicID)
	for i := range r.Balances {
		b := &r.Balances[i]
		n += 80 + len(b.Code) + len(b.ID) + len(b.Currency) + len(b.Value)
	}
	for _, code := range r.MissingBalanceCodes {
		n += 3 + len(code)
	}
	return n
}

// append appends what String returns.
func (p Position) append(dst []byte) []byte {
	dst = append(append(dst, p.Topic...), '/')
	dst = strconv.AppendInt(dst, int64(p.Partition), 10)
	return strconv.AppendInt(append(dst, '/'), p.Offset, 10)
}

// append appends "@topic-id.leader-epoch", where that is known.
func (l LogID) append(dst []byte) []byte {
	if l.TopicID == "" {
		return dst
	}
	dst = append(append(append(dst, '@'), l.TopicID...), '.')
	return strconv.AppendInt(dst, int64(l.LeaderEpoch), 10)
}
