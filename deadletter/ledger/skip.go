package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Skip is an operator's decision that a group goes on behind a batch of the request topic that cannot be read. It
// stands in the ledger, where the instance that holds the partition finds it: brokers refuse the commit of any other
// client while the group has members, and without any it would have to be stopped.
type Skip struct {
	Run       string    `json:"run"` // names the decision
	Time      time.Time `json:"time"`
	By        string    `json:"by"` // user@host
	Group     string    `json:"group"`
	Topic     string    `json:"topic"`
	TopicID   string    `json:"topicId"` // a topic that is made again has other batches
	Partition int32     `json:"partition"`
	From      int64     `json:"from"`
	To        int64     `json:"to"` // where the group goes on
	Why       string    `json:"why"`
}

// headerSkip marks skips in the ledger's topic. Versions that know no skips take them for records of another program.
const headerSkip = "balanceq-skip"

func (s *Skip) encode() (kafkawire.Record, error) {
	value, err := json.Marshal(s, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return kafkawire.Record{}, fmt.Errorf("writing a skip: %w", err)
	}
	at := schemas.Position{Topic: s.Topic, Partition: s.Partition, Offset: s.From}
	return kafkawire.Record{
		Key: []byte(headerSkip + "/" + s.Group + "/" + at.String()), Value: value,
		Headers: []kafkawire.Header{{Key: headerSkip, Value: []byte(s.Run)}},
	}, nil
}

// readSkip returns nil for a record that is no skip, or one that cannot be read: then nothing is skipped.
func readSkip(rec *schemas.Record) *Skip {
	if _, is := rec.Header(headerSkip); !is {
		return nil
	}
	s := &Skip{}
	if json.Unmarshal(rec.Value, s) != nil || s.To <= s.From {
		return nil
	}
	return s
}

// Covers says that the skip is about that offset of a group in a topic.
func (s *Skip) Covers(group, topic, topicID string, partition int32, offset int64) bool {
	return s.Group == group && s.Topic == topic && s.TopicID == topicID && s.Partition == partition &&
		s.From <= offset && offset < s.To
}

const skipPause = 200 * time.Millisecond

// Record writes the skip into the ledger, once, and returns when all in-sync replicas have it.
func (s *Skip) Record(ctx context.Context, wire *kafkawire.Client, ledger string) error {
	rec, err := s.encode()
	if err != nil {
		return err
	}
	var batch []byte // with an id and a sequence: sent again after a lost answer, it is in the log once
	for {
		if batch == nil {
			var id kafkawire.ProducerID
			if id, err = wire.NewProducerID(ctx); err == nil {
				batch = kafkawire.AppendBatch(nil, id, 0, []kafkawire.Record{rec}, s.Time)
			}
		}
		if batch != nil {
			err = produce(ctx, wire, ledger, batch)
		}
		if err == nil || !kafkawire.Transient(err) || ctx.Err() != nil {
			return err
		}
		wire.Reset()
		wait.Sleep(ctx, skipPause)
	}
}

func produce(ctx context.Context, wire *kafkawire.Client, ledger string, bytes []byte) error {
	leaders, _, err := wire.Leaders(ctx, ledger)
	if err != nil {
		return err
	}
	b := &kafkawire.Batch{Topic: ledger, Partition: Partition, Bytes: bytes}
	leader, ok := leaders[b.Partition]
	if !ok {
		return fmt.Errorf("%s/%d has no leader", ledger, b.Partition)
	}
	if err := wire.Produce(ctx, leader, []*kafkawire.Batch{b}); err != nil {
		return err
	}
	if b.Err != nil {
		return fmt.Errorf("writing to %s: %w", ledger, b.Err)
	}
	return nil
}

// Skips reads the skips of one group from the ledger, as they come. It implements consumer.Skips for one caller at a
// time.
type Skips struct {
	Wire         *kafkawire.Client // for this alone
	Group, Topic string
	Ledger       string // topic
	reader       *Reader
	known        []*Skip
}

// Skip returns where to go on instead of at an offset that cannot be read, if somebody has decided so.
func (s *Skips) Skip(ctx context.Context, partition int32, offset int64) (to int64, by string, ok bool, err error) {
	if s.reader == nil {
		s.reader = &Reader{Client: s.Wire, Topic: s.Ledger, Skipped: func(k *Skip) {
			if k.Group == s.Group && k.Topic == s.Topic {
				s.known = append(s.known, k)
			}
		}}
	}
	err = s.reader.Read(ctx, func(*Entry) error { return nil })
	var id kafkawire.TopicID
	if err == nil {
		id, err = s.Wire.TopicID(ctx, s.Topic)
	}
	if err != nil {
		s.Wire.Reset()
		return 0, "", false, err
	}
	for _, k := range s.known {
		if k.Covers(s.Group, s.Topic, id.String(), partition, offset) {
			return k.To, k.By, true, nil
		}
	}
	return 0, "", false, nil
}
