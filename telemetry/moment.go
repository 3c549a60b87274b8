package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
)

// moment is what the watchdog sees at one time.
type moment struct {
	at       time.Time
	consumer consumer.Status
	producer producer.Status
	cms      cmsclient.Status
	budget   processor.BudgetStatus
	ended    int64 // calls to the CMS that have ended, so far
	commits  error // why commits fail; nil: they do not, or none has come back lately
	handlers []handling
	kafka    error          // why Kafka could not be asked
	there    map[int32]bool // partitions in whose log there is something at the offset to fetch from, as Kafka says
}

// mostHeldUp returns the partition whose lowest uncommitted offset has not moved for the longest; nil: none has to.
func (m *moment) mostHeldUp() (held *consumer.PartitionStatus) {
	for i := range m.consumer.Partitions {
		if p := &m.consumer.Partitions[i]; p.Open > 0 && (held == nil || p.Moved.Before(held.Moved)) {
			held = p
		}
	}
	return held
}

// kafkaFault returns what keeps Kafka from working; nil: nothing. A restart does not fix it.
func (m *moment) kafkaFault() error {
	switch {
	case m.producer.Failing != nil:
		return fmt.Errorf("writing fails: %w", withFix(m.producer.Failing))
	case m.commits != nil:
		return fmt.Errorf("committing fails: %w", withFix(m.commits))
	}
	return withFix(m.kafka)
}

// withFix has err say what people can do about it, as the log does.
func withFix(err error) error {
	fix := kafkawire.Fix(err)
	if fix == "" || strings.Contains(err.Error(), fix) {
		return err
	}
	return fmt.Errorf("%w; %s", err, fix)
}

// partitionOf returns the partition that waits for a handler; nil: it holds up none of this instance's.
func (m *moment) partitionOf(b *handling) *consumer.PartitionStatus {
	i := slices.IndexFunc(m.consumer.Partitions, func(p consumer.PartitionStatus) bool {
		return b.holds(p.Partition, p.Oldest)
	})
	if i < 0 {
		return nil
	}
	return &m.consumer.Partitions[i]
}

// ordering says that the producer may have no room for an outcome before an earlier request is answered. Where every
// earlier one is at the producer too, that is no excuse.
func (m *moment) ordering() bool {
	return m.producer.Ordered && slices.ContainsFunc(m.consumer.Partitions, func(p consumer.PartitionStatus) bool {
		return p.Open > 0 && !slices.ContainsFunc(m.handlers, func(b handling) bool {
			return b.step == processor.StepCompleting && b.holds(p.Partition, p.Oldest)
		})
	})
}

func (b *handling) holds(partition int32, offset int64) bool {
	for _, at := range b.taken {
		if at.Partition == partition && at.Offset == offset {
			return true
		}
	}
	return false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
