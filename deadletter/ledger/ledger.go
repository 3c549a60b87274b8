package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// NewRunID names a run of replays, or the decision to skip: ids sort by time, and no two are the same.
func NewRunID(now time.Time) string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails
	return now.UTC().Format("20060102T150405-") + hex.EncodeToString(random[:])
}

// Entry is a record of the ledger: one replay of one dead letter. It is written in the same transaction as the replayed
// request, so that there is never one without the other.
type Entry struct {
	Run     string           `json:"run"` // the same for all entries of one run of the tool
	Time    time.Time        `json:"time"`
	By      string           `json:"by"`               // user@host
	Filter  string           `json:"filter,omitempty"` // the flags that chose the letter; "": all
	Letter  schemas.Position `json:"letter"`
	Request schemas.Position `json:"request"` // where the request stands now
	Reason  schemas.Reason   `json:"reason,omitempty"`
	Replay  int              `json:"replay"` // how often it has been replayed, this time included
	Changes []Change         `json:"changes,omitempty"`
	TopicID string           `json:"topicId,omitempty"` // of the dead-letter topic: one that is made again has new letters
}

// Change is a field of a request that was edited before its replay. "" is none.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// headerEntry marks entries in the ledger's topic: its value is Entry.Run.
const headerEntry = schemas.HeaderReplayRun

// Encode makes the entry's record. Its key is the letter's position, so that a compacted ledger has the last entry of
// each letter.
func (e *Entry) Encode() (kafkawire.Record, error) {
	value, err := json.Marshal(e, jsontext.AllowInvalidUTF8(true)) // written as U+FFFD
	if err != nil {
		return kafkawire.Record{}, fmt.Errorf("writing a ledger entry: %w", err)
	}
	return kafkawire.Record{
		Key: []byte(e.Letter.String()), Value: value,
		Headers: []kafkawire.Header{{Key: headerEntry, Value: []byte(e.Run)}},
	}, nil
}

// ErrUnreadable says that an entry of the ledger cannot be read. Asking again does not help.
var ErrUnreadable = errors.New("the ledger cannot be read")

// errNotAnEntry says that a record of the ledger's topic is not an entry of it: another program wrote it.
var errNotAnEntry = errors.New("not an entry of the ledger")

// readEntry is strict: a replay that overlooks an entry replays its letter again.
func readEntry(rec *schemas.Record) (*Entry, error) {
	if _, is := rec.Header(headerEntry); !is {
		return nil, errNotAnEntry
	}
	e := &Entry{}
	if err := json.Unmarshal(rec.Value, e); err != nil {
		return nil, fmt.Errorf("%w: entry %s: %w", ErrUnreadable, rec.Position, err)
	}
	if e.Letter.Topic == "" || e.Run == "" {
		return nil, fmt.Errorf("%w: entry %s names no letter or no run", ErrUnreadable, rec.Position)
	}
	return e, nil
}

// Partition is where the ledger stands in its topic: one partition is one order.
const Partition = 0

// Reader reads who replayed what, from where it stopped before to where the ledger ends now.
type Reader struct {
	Client *kafkawire.Client // for this ledger alone
	Topic  string
	next   int64
	// Skipped, if set, is told of skips, which are no entries.
	Skipped func(*Skip)
	// Foreign counts records that are no entries.
	Foreign int64
}

// Read calls each for the new entries, in order. What cannot be read ends it: no replay may go by a
// ledger with holes.
func (l *Reader) Read(ctx context.Context, each func(*Entry) error) error {
	reader := tail.Reader{Client: l.Client, Topic: l.Topic, From: kafkawire.Earliest, ToEnd: true,
		Within: map[int32]tail.Span{Partition: {From: l.next, To: math.MaxInt64}}}
	var failed error
	err := reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
		r := deadletter.Record(l.Topic, partition, rec)
		e, err := readEntry(r)
		skip := readSkip(r)
		switch {
		case skip != nil:
			if l.Skipped != nil {
				l.Skipped(skip)
			}
		case errors.Is(err, errNotAnEntry):
			l.Foreign++
		case err != nil:
			failed = err
		default:
			failed = each(e)
		}
		if failed == nil {
			l.next = rec.Offset + 1
		}
		return failed == nil
	})
	if failed == nil && err != nil {
		failed = fmt.Errorf("reading the ledger %s: %w", l.Topic, err)
	}
	return failed
}

// Replayed returns which letters of a topic have been replayed. id is the topic's present one.
func (l *Reader) Replayed(ctx context.Context, topic, id string) (*deadletter.Positions, error) {
	replayed := &deadletter.Positions{}
	err := l.Read(ctx, func(e *Entry) error {
		if e.About(topic, id) {
			replayed.Add(e.Letter.Partition, e.Letter.Offset)
		}
		return nil
	})
	return replayed, err
}

// About says whether the entry is of a letter of that topic; id is the topic's present one, "" if it is not known.
func (e *Entry) About(topic, id string) bool {
	return e.Letter.Topic == topic && (e.TopicID == id || e.TopicID == "" || id == "")
}
