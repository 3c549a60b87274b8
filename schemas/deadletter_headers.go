package schemas

import (
	"strconv"
	"time"

	"github.com/balanceq/balanceq/internal/printable"
)

// Origin says which program gave the record up.
type Origin struct {
	Group    string // consumer group
	Instance string // one of the group's members, e.g. the host name
	Version  string // of the program
}

// deadLetterHeaders are the names that only the newest dead letter may set. HeaderReplayCount is not among them: a
// replay writes it, and it must survive the next failure, or a record could go round for ever without anyone noticing.
var deadLetterHeaders = map[string]bool{
	HeaderErrorsTopic: true, HeaderErrorsPartition: true, HeaderErrorsOffset: true, HeaderErrorsGroup: true,
	HeaderErrorsDeliveryCount: true, HeaderErrorsMessage: true,
	HeaderReason: true, HeaderDetail: true, HeaderRequestID: true, HeaderHTTPStatus: true, HeaderCMSReason: true,
	HeaderAttempts: true, HeaderFirstFailure: true, HeaderLastFailure: true, HeaderCorrelationID: true,
	HeaderCMSCorrelationID: true, HeaderDeadTraceparent: true,
	HeaderInstance: true, HeaderVersion: true, HeaderSourceTopicID: true, HeaderSourceEpoch: true,
	HeaderOmitted: true, HeaderValueSize: true, HeaderValueSHA256: true, HeaderKeySize: true, HeaderKeySHA256: true,
	HeaderHeadersCount: true, HeaderOriginalKey: true,
}

// Message returns the dead letter as a record: the original key, value and headers byte for byte and in order, except
// headers of an earlier dead-lettering; then our own. Those are text: UTF-8 without control characters, at most
// MaxDetail bytes, card numbers masked. What is absent has no header.
func (d *DeadLetter) Message(origin Origin) Message { return d.MessageWithout(origin, Without{}) }

// MessageWithout is Message in another form. What is left out is stated by headers of its own, and in the detail.
// Without its headers a request still says how often it was replayed, and where it stood first.
func (d *DeadLetter) MessageWithout(origin Origin, w Without) Message {
	rec := d.Record
	h := make(headerList, 0, len(rec.Headers)+len(deadLetterHeaders))
	for _, original := range rec.Headers {
		if deadLetterHeaders[original.Key] || w.Headers && (!replayHeaders[original.Key] || len(original.Value) > MaxDetail) {
			continue
		}
		h = append(h, original)
	}
	detail := d.Detail
	if left := w.leftOut(); left != "" {
		if detail != "" {
			left = "; " + left
		}
		detail = cut(Mask(printable.Text(detail)), MaxDetail-len(left)-len(d.Reason)-len(": ")) + left
	}
	message := string(d.Reason)
	if detail != "" {
		message += ": " + detail
	}
	h.exact(HeaderErrorsTopic, cleanText(rec.Topic))
	h.exact(HeaderErrorsPartition, strconv.Itoa(int(rec.Partition)))
	h.exact(HeaderErrorsOffset, strconv.FormatInt(rec.Offset, 10))
	if rec.Log.TopicID != "" {
		h.exact(HeaderSourceTopicID, cleanText(rec.Log.TopicID))
		h.exact(HeaderSourceEpoch, strconv.Itoa(int(rec.Log.LeaderEpoch)))
	}
	h.text(HeaderErrorsGroup, origin.Group)
	h.exact(HeaderErrorsDeliveryCount, strconv.Itoa(max(1, d.Attempts)))
	h.text(HeaderErrorsMessage, message)

	h.text(HeaderReason, string(d.Reason))
	h.text(HeaderDetail, detail)
	h.text(HeaderRequestID, d.RequestID)
	if d.HTTPStatus != 0 {
		h.exact(HeaderHTTPStatus, strconv.Itoa(d.HTTPStatus))
	}
	h.text(HeaderCMSReason, d.CMSReasonCode)
	h.exact(HeaderAttempts, strconv.Itoa(d.Attempts))
	h.time(HeaderFirstFailure, d.FirstFailure)
	h.time(HeaderLastFailure, d.LastFailure)
	h.text(HeaderCorrelationID, d.CorrelationID)
	h.text(HeaderCMSCorrelationID, d.CMSCorrelationID)
	h.exact(HeaderDeadTraceparent, string(d.Trace.Parent))
	h.text(HeaderInstance, origin.Instance)
	h.text(HeaderVersion, origin.Version)
	h.omission(omission(rec, w.Parts))
	m := Message{Key: rec.Key, Value: rec.Value, Time: d.DecidedAt}
	if w.Value {
		m.Value = nil
	}
	if w.Key {
		m.Key = nil
	}
	if w.Keyed && m.Key == nil {
		m.Key = []byte(rec.String())
		if !w.Key {
			h.exact(HeaderOriginalKey, nullKey)
		}
	}
	m.Headers = h
	return m
}

// headerList grows by one text header at a time.
type headerList []Header

// exact adds a value that must be read back as it is: a position or a count has no card number in it.
func (h *headerList) exact(name, value string) {
	if value != "" {
		*h = append(*h, Header{Key: name, Value: []byte(value)})
	}
}

func (h *headerList) text(name, value string) { h.exact(name, headerText(value)) }

func (h *headerList) time(name string, t time.Time) {
	if !t.IsZero() {
		h.exact(name, string(appendTime(nil, t)))
	}
}

// headerText makes s fit for a text header, and for a terminal: clean, masked, and cut to MaxDetail in this order,
// because cleaning could join what masking looks at and a cut could hide it.
func headerText(s string) string { return cut(Mask(printable.Text(s)), MaxDetail) }

// cleanText is headerText without masking.
func cleanText(s string) string { return cut(printable.Text(s), MaxDetail) }

// DeadLetterInfo is what the headers of a dead letter say. Zero values are absent.
type DeadLetterInfo struct {
	Source           Position // of the original record; valid only if HasSource
	HasSource        bool
	Origin           Origin
	Reason           Reason // possibly one that this version does not know, or "" in a record of another writer
	Detail           string // in a record of another writer: its message
	RequestID        string
	HTTPStatus       int
	CMSReasonCode    string
	Attempts         int // in a record of another writer: its delivery count
	FirstFailure     time.Time
	LastFailure      time.Time
	CorrelationID    string
	CMSCorrelationID string    // the CMS's own, opaque
	ReplayCount      int       // how often the record has been replayed
	Omission         *Omission // what it was written without; nil: it is whole
	KeyWasNull       bool      // the letter's key is not the record's, which has none
}

// ReadDeadLetter reads the headers of a dead letter, of balanceq or of another writer that knows Kafka's names only
// (KIP-1191). It is tolerant: what cannot be read counts as absent. All text is cleaned and masked as if we had written
// it, so it can be shown.
func ReadDeadLetter(rec *Record) DeadLetterInfo {
	info := DeadLetterInfo{
		Origin: Origin{
			Group:    headerString(rec, HeaderErrorsGroup),
			Instance: headerString(rec, HeaderInstance),
			Version:  headerString(rec, HeaderVersion),
		},
		Reason:           Reason(headerString(rec, HeaderReason)),
		Detail:           headerString(rec, HeaderDetail),
		RequestID:        headerString(rec, HeaderRequestID),
		CMSReasonCode:    headerString(rec, HeaderCMSReason),
		FirstFailure:     headerTime(rec, HeaderFirstFailure),
		LastFailure:      headerTime(rec, HeaderLastFailure),
		CorrelationID:    headerString(rec, HeaderCorrelationID),
		CMSCorrelationID: headerString(rec, HeaderCMSCorrelationID),
	}
	status, _ := headerInt(rec, HeaderHTTPStatus, 32)
	info.HTTPStatus = int(status)
	replays, _ := headerInt(rec, HeaderReplayCount, 32)
	info.ReplayCount = int(replays)
	info.Omission, info.KeyWasNull = readOmission(rec), keyWasNull(rec)

	attempts, ok := headerInt(rec, HeaderAttempts, 32)
	if !ok {
		attempts, _ = headerInt(rec, HeaderErrorsDeliveryCount, 32)
	}
	info.Attempts = int(attempts)
	if info.Detail == "" && info.Reason == "" {
		info.Detail = headerString(rec, HeaderErrorsMessage)
	}

	topic, _ := rec.Header(HeaderErrorsTopic)
	partition, gotPartition := headerInt(rec, HeaderErrorsPartition, 32)
	offset, gotOffset := headerInt(rec, HeaderErrorsOffset, 64)
	if len(topic) > 0 && gotPartition && gotOffset {
		of32 := int32(partition) //nolint:gosec // headerInt has read 32 bits
		info.Source = Position{Topic: cleanText(string(topic)), Partition: of32, Offset: offset}
		info.HasSource = true
	}
	return info
}

func headerString(rec *Record, name string) string {
	value, _ := rec.Header(name)
	return headerText(string(value))
}

// headerInt reads a non-negative number of at most that many bits.
func headerInt(rec *Record, name string, bits int) (int64, bool) {
	value, _ := rec.Header(name)
	n, err := strconv.ParseInt(string(value), 10, bits)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}

func headerTime(rec *Record, name string) time.Time {
	value, _ := rec.Header(name)
	t, _ := parseTime(value)
	return t
}
