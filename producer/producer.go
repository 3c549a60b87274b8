package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Config says where to write and how much memory to use for it.
type Config struct {
	Topics []string // that Write may be called with
	// Outcomes says how to write again what a topic does not take as it is. Its Producer is not used.
	Outcomes Outcomes
	// BufferBytes bounds what waits to be acknowledged; Write blocks while it is used up, and goes on first come, first
	// served. One message is always let in. What goes to a partition that only an operator can cure does not count, and is
	// always let in: how much of it there is, the consumer bounds, and the other partitions' must find room.
	BufferBytes int
	// BatchBytes bounds one batch of several records; a larger single record makes a batch of its own.
	BatchBytes int
}

// Limits that the wire sets, and no configuration.
const (
	defaultBatchBytes = 512 << 10
	maxRequestBytes   = 8 << 20 // of one produce request, over all its partitions
	minBackoff        = 10 * time.Millisecond
	maxBackoff        = 2 * time.Second
	maxPause          = 500 * time.Millisecond // of a start
	operatorBackoff   = 5 * time.Second        // where only people can help
)

// Ack is told once that a message is in the log of all in-sync replicas. It is called from the producer's own goroutine
// and must not block.
type Ack = interface{ Acknowledged() }

// Observer hears of writes. A Producer calls its methods without any lock held, Transactions under that of the commit.
type Observer interface {
	// Wrote is called when a batch is in the log (in a transaction: written).
	Wrote(records int)
	// WriteFailed is called when a batch has to be repeated.
	WriteFailed(topic string, partition int32, err error)
}

// Producer writes messages in the order in which Write was called for their partition. It is safe for concurrent use.
type Producer struct {
	cfg  Config
	wire *kafkawire.Client
	log  zerolog.Logger
	obs  Observer

	timeout time.Duration // of a produce request; produceTimeout but in tests
	firstID sharedID

	ctx    context.Context //nolint:containedctx // ends when Close gives up: Write starts senders, which outlive its own
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	empty    sync.Cond     // signalled when buffered falls to zero, for Close
	waiting  line[message] // writes for which the buffer has no room
	buffered int           // bytes that were written and are not acknowledged
	held     int           // those of them that wait for an operator; they take no room
	closed   bool
	topics   map[string]*topic
	senders  map[int32]*sender // by leader
	failing  map[*queue]failure
}

// topic is one topic's partitions, as many as keys are hashed over.
type topic struct {
	name   string
	queues []*queue
	ids    []int // 0…len(queues)-1, in the form that KeyPartition wants
}

// grow adds queues up to so many partitions, and returns those that it has added.
func (t *topic) grow(partitions, batchBytes int) []*queue {
	n := len(t.queues)
	for id := n; id < partitions; id++ {
		t.ids = append(t.ids, id)
		t.queues = append(t.queues, newQueue(t.name, int32(id), batchBytes)) //nolint:gosec // partitions have 32 bits
	}
	return t.queues[n:]
}

func (t *topic) queueOf(key []byte) *queue { return t.queues[kafkawire.KeyPartition(key, t.ids...)] }

// failure is a write that is being repeated.
type failure struct {
	since time.Time
	err   error
}

// startTimeout is how long a start may be held up by brokers: one of several that has just died, or a coordinator that
// is used for the first time.
const startTimeout = 30 * time.Second

// New reads the layout of the topics and starts; it fails when one does not exist.
func New(ctx context.Context, cfg Config, wire *kafkawire.Client, log zerolog.Logger, obs Observer) (*Producer, error) {
	if cfg.BatchBytes <= 0 {
		cfg.BatchBytes = defaultBatchBytes
	}
	p := &Producer{cfg: cfg, wire: wire, log: log, obs: obs, topics: map[string]*topic{}, senders: map[int32]*sender{},
		failing: map[*queue]failure{},
		timeout: produceTimeout}
	p.empty.L = &p.mu
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, name := range cfg.Topics {
		p.topics[name] = &topic{name: name}
	}
	if err := firstLook(ctx, log, p.refresh); err != nil {
		p.cancel()
		return nil, err
	}
	p.wg.Go(p.watchLayout)
	p.wg.Go(func() { _, _ = p.firstID.get(p.ctx, p.wire) }) // ahead; what fails here, the first sender tries again
	return p, nil
}

// firstLook asks for the layout until a broker answers: one of several may just have died.
func firstLook(ctx context.Context, log zerolog.Logger, look func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err // what is known already would be an answer all the same, by chance
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := look(ctx)
		if err == nil || isAnswer(err) || ctx.Err() != nil {
			return err
		}
		log.Debug().Err(err).Msg("reading the layout of the topics failed; trying again")
		wait.Sleep(ctx, maxPause)
	}
}

// errClosed is returned by Write after Close.
var errClosed = errors.New("the producer is closed")

// Keyed asks for the partition that the key's hash gives.
const Keyed = schemas.NoPartition

// Write queues a message for one of the configured topics. partition is Keyed or a number, taken modulo the topic's
// partitions. ack is called once. It blocks while the buffer is full and fails only when ctx ends or the producer is
// closed, or was not made for the topic; nothing is queued then.
func (p *Producer) Write(ctx context.Context, topic string, partition int32, m schemas.Message, ack Ack) error {
	return p.write(ctx, topic, partition, newEntry(m, ack))
}

func (p *Producer) write(ctx context.Context, topic string, partition int32, e entry) error {
	t := p.topics[topic] // the map is never changed
	if t == nil {
		return fmt.Errorf("writing to %s: the producer was not made for this topic", topic)
	}
	w := message{t, partition, e}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(ctx, w); err != nil {
		return fmt.Errorf("writing to %s: %w", topic, err)
	}
	return nil
}

// message is an entry with its address.
type message struct {
	topic     *topic
	partition int32
	entry     entry
}

// admit queues a message, when there is room for it and for all that came before it. It requires mu.
func (p *Producer) admit(ctx context.Context, m message) error {
	if p.closed {
		return errClosed
	}
	if len(p.waiting.waiting) == 0 && p.room(m) || p.exempt(m) {
		p.enqueue(m)
		return nil
	}
	err := p.waiting.wait(ctx, &p.mu, m)
	if err != nil {
		p.advance() // those behind one that gave up
	}
	return err
}

// room requires mu. A message larger than the whole buffer goes in when the buffer is empty.
func (p *Producer) room(m message) bool {
	counted := p.buffered - p.held
	return counted == 0 || counted+m.entry.size <= p.cfg.BufferBytes || p.exempt(m)
}

// exempt requires mu.
func (p *Producer) exempt(m message) bool { return m.queue().held }

// advance requires mu.
func (p *Producer) advance() {
	p.waiting.advance(p.room, p.exempt, p.enqueue)
}

// queue is where the message goes. It requires mu.
func (m *message) queue() *queue {
	if m.partition == Keyed {
		return m.topic.queueOf(m.entry.message.Key)
	}
	return m.topic.queues[max(0, int(m.partition))%len(m.topic.queues)]
}

// enqueue requires mu.
func (p *Producer) enqueue(m message) {
	q := m.queue()
	if q.idle() {
		q.oldest, q.heard = m.entry.at, m.entry.at
	}
	q.pending = append(q.pending, m.entry)
	p.grow(q, m.entry.size)
	p.schedule(q)
}

// Status describes the producer for metrics and health.
type Status struct {
	Buffered int           // bytes waiting to be acknowledged
	Limit    int           // of those
	Failing  error         // why the oldest repeated write fails; nil when none does
	Since    time.Duration // how long it has been failing
	Oldest   time.Time     // when the message that waits longest was written; zero: none waits
	// Silent is the partition that has had something to write and no answer of the brokers, good or bad, for the longest;
	// zero: there is none. A partition without a leader has no broker to hear of.
	Silent Silence
	// Ordered says that outcomes wait until all records before theirs have one. With the buffer full of those, others are
	// not taken until then.
	Ordered bool
}

// Silence is a partition from which nothing is heard.
type Silence struct {
	Topic     string
	Partition int32
	Since     time.Time
}

// Status returns a snapshot.
func (p *Producer) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Buffered: p.buffered, Limit: p.cfg.BufferBytes}
	for _, f := range p.failing {
		if since := time.Since(f.since); s.Failing == nil || since > s.Since {
			s.Failing, s.Since = f.err, since
		}
	}
	for _, t := range p.topics {
		for _, q := range t.queues {
			if q.idle() {
				continue
			}
			if s.Oldest.IsZero() || q.oldest.Before(s.Oldest) {
				s.Oldest = q.oldest
			}
			if q.leader != noLeader && (s.Silent.Since.IsZero() || q.heard.Before(s.Silent.Since)) {
				s.Silent = Silence{q.topic, q.partition, q.heard}
			}
		}
	}
	return s
}

// Close waits until everything queued is acknowledged or ctx ends, then stops. What is left is dropped: its records
// were never acknowledged, so their offsets are not committed and they come again.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.empty.Broadcast()
	})
	for p.buffered > 0 && ctx.Err() == nil && !p.closed { // closed: an earlier Close has given the rest up
		p.empty.Wait()
	}
	stop()
	left := p.buffered
	p.closed = true
	p.waiting.close(errClosed)
	p.empty.Broadcast()
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	if left > 0 {
		return fmt.Errorf("closing the producer: %d bytes were not acknowledged in time; their requests will be read again",
			left)
	}
	return nil
}
