package schemas

import (
	"strconv"
	"time"
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
	eventSpecVersion = []byte("1.0")
	resultEventType  = []byte(ResultEventType)
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
func (r *Result) Message(key []byte) Message {
	// One buffer for the small texts; each is cut with its own capacity, so appending to one cannot touch the next.
	text := make([]byte, 0, 2*len(r.Source.Topic)+len("//@.")+len(r.Log.TopicID)+len("balanceq/")+len(
		time.RFC3339Nano)+4*20)
	piece := func(from int) []byte { return text[from:len(text):len(text)] }

	text = r.Log.append(r.Source.append(text))
	id, start := piece(0), len(text)
	text = append(append(text, "balanceq/"...), r.Source.Topic...)
	source, start := piece(start), len(text)
	text = appendTime(text, r.RetrievedAt)
	at, start := piece(start), len(text)
	if key == nil && r.ContractID != 0 {
		text = strconv.AppendInt(text, r.ContractID, 10)
		key = piece(start)
	}
	return Message{
		Key:   key,
		Value: r.AppendJSON(make([]byte, 0, r.sizeHint())),
		Headers: []Header{
			{Key: HeaderEventSpecVersion, Value: eventSpecVersion},
			{Key: HeaderEventID, Value: id},
			{Key: HeaderEventSource, Value: source},
			{Key: HeaderEventType, Value: resultEventType},
			{Key: HeaderEventTime, Value: at},
			{Key: HeaderContentType, Value: jsonContentType},
		},
		Time: r.RetrievedAt,
	}
}

// sizeHint estimates the length of the JSON text from above, for text without escapes.
func (r *Result) sizeHint() int {
	n := 320 + len(r.RequestID) + len(r.CorrelationID) + len(r.CMSCorrelationID) + len(r.Source.Topic)
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
