package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// maxShownTopics bounds how many topics' names of publishers are shown.
const maxShownTopics = 3

// wishes are what the last requests want of their results by their headers.
type wishes struct {
	cfg        config.Results
	results    string // topic
	records    int
	correlated int            // with a header that comes back
	named      map[string]int // how many have each of those headers
	tooLong    int            // with one that is too long to
	topics     map[string]int // reply topics that are not allowed, and how many want each
	partitions int            // with a partition that cannot be read
	events     int            // with attributes of an event that say nothing, as no header makes it one
}

func newWishes(cfg config.Config) *wishes {
	return &wishes{cfg: cfg.Results, results: cfg.Topics.Results, named: map[string]int{}, topics: map[string]int{}}
}

func (w *wishes) add(rec *kafkawire.Record) {
	r := schemas.Record{Value: rec.Value, Headers: rec.Headers}
	w.records++
	echo, tooLong := schemas.Echo(&r, w.cfg.EchoHeaders)
	for _, h := range echo {
		w.named[h.Key]++
	}
	w.tooLong += min(tooLong, 1)
	if unmarked(&r) {
		w.events++
	}
	topic, _, malformed := schemas.ReadReply(&r)
	if len(echo) > 0 || len(topic) > 0 {
		w.correlated++
	}
	switch name := string(topic); {
	case name == "" || name == w.results:
	case !slices.Contains(w.cfg.ReplyTopics, name):
		w.topics[name]++
	case malformed:
		w.partitions++
	}
}

// describe warns of publishers who wait for answers that they will not have.
func (w *wishes) describe(topic string) []finding.Finding {
	found := ok(fmt.Sprintf("%d of the last %d records in %s want an answer by their headers%s", w.correlated, w.records,
		topic, w.headers()))
	if w.correlated > 0 && !w.cfg.PublishFailures {
		found = append(found, warn("who sent them waits, and hears of no failure: results.publish-failures is false",
			"set results.publish-failures to true")...)
	}
	if len(w.topics) > 0 {
		found = append(found, warn(fmt.Sprintf(
			"%d want a copy in topics that are not in results.reply-topics, and get none: %s",
			sum(w.topics), w.unknown()), "add the topic to results.reply-topics, or have its clients read "+w.results)...)
	}
	if w.partitions > 0 {
		found = append(found, warn(fmt.Sprintf("%d have a %s that is not 4 bytes, big-endian: it is passed over",
			w.partitions, schemas.HeaderReplyPartition), "have their clients send it so, as Spring does")...)
	}
	if w.tooLong > 0 {
		found = append(found, warn(fmt.Sprintf("%d have a header of results.echo-headers of more than %d bytes, which does "+
			"not come back", w.tooLong, schemas.MaxEchoValue), "have their clients send a shorter one")...)
	}
	if w.events > 0 {
		found = append(found, warn(fmt.Sprintf("%d have attributes of CloudEvents named as over HTTP (ce-id), or a %s "+
			"without %s, and are read as plain requests: their results have another id", w.events, schemas.HeaderEventID,
			schemas.HeaderEventSpecVersion), "have their publishers send headers ce_…, as the Kafka protocol binding of "+
			"CloudEvents names them, or a requestId")...)
	}
	return found
}

// unmarked reports whether a request without an id of its own has that of an event, where it is not looked for.
func unmarked(r *schemas.Record) bool {
	if _, isEvent := r.Header(schemas.HeaderEventSpecVersion); isEvent {
		return false
	}
	if !slices.ContainsFunc(r.Headers, func(h schemas.Header) bool {
		return strings.EqualFold(h.Key, "ce-id") || strings.EqualFold(h.Key, schemas.HeaderEventID)
	}) {
		return false
	}
	request, err := schemas.DecodeRequest(r)
	return err == nil && request.ID == r.String()
}

func (w *wishes) headers() string {
	if len(w.named) == 0 {
		return ""
	}
	return " (" + strings.Join(slices.Sorted(maps.Keys(w.named)), ", ") + ")"
}

// unknown lists the topics that are wanted most.
func (w *wishes) unknown() string {
	names := slices.SortedFunc(maps.Keys(w.topics), func(a, b string) int {
		return cmp.Or(cmp.Compare(w.topics[b], w.topics[a]), cmp.Compare(a, b))
	})
	for i := range names {
		names[i] = schemas.Mask(printable.Text(names[i]))
	}
	if more := len(names) - maxShownTopics; more > 0 {
		names = append(names[:maxShownTopics], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
