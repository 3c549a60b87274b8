package kafkawire

import (
	"context"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchSession fetches several partitions of a topic from their leader, again and again, and names only those whose
// position has changed since the fetch before; the broker remembers the rest, and answers with what has news (KIP-227).
// So what a fetch costs does not grow with the partitions at rest. A broker that has no room for a session is asked for
// all of them each time.
//
// It is for one goroutine.
type FetchSession struct {
	client *Client
	leader int32
	topic  string

	id, epoch int32 // 0, 0: the next fetch begins a session
	version   int16 // of the session's fetches
	wanted    map[int32]LogPosition
	unnamed   int                // of wanted, without the topic's id
	changed   map[int32]struct{} // of wanted, that the broker is still to be told
	forgotten map[int32]TopicID  // not wanted any more, and the broker is still to be told
}

// What the epoch of a fetch means (KIP-227).
const (
	fullFetch       = 0  // begins a session instead of the one that is named
	noSession       = -1 // there is none
	maxSessionEpoch = 1<<31 - 1
)

// FetchSession makes a session in which nothing is wanted yet.
func (c *Client) FetchSession(leader int32, topic string) *FetchSession {
	return &FetchSession{client: c, leader: leader, topic: topic, wanted: map[int32]LogPosition{},
		changed: map[int32]struct{}{}, forgotten: map[int32]TopicID{}}
}

// Want has the next fetches ask for a partition from a position on. Positions are as in Client.FetchLog.
func (s *FetchSession) Want(partition int32, at LogPosition) {
	was, known := s.wanted[partition]
	if known && was == at {
		return
	}
	former, dropped := s.forgotten[partition]
	if known && was.Topic != at.Topic || dropped && former != at.Topic {
		s.Begin() // the topic was made again, and the answer tells partitions apart by their numbers
	}
	s.Drop(partition)
	if at.Topic == (TopicID{}) {
		s.unnamed++
	}
	s.wanted[partition], s.changed[partition] = at, struct{}{}
	delete(s.forgotten, partition)
}

// Drop leaves a partition out of the next fetches.
func (s *FetchSession) Drop(partition int32) {
	at, known := s.wanted[partition]
	if !known {
		return
	}
	if at.Topic == (TopicID{}) {
		s.unnamed--
	}
	delete(s.wanted, partition)
	delete(s.changed, partition)
	s.forgotten[partition] = at.Topic // the broker may know it at an older position, if not at this one
}

// Wanted says how many partitions the next fetch asks for.
func (s *FetchSession) Wanted() int { return len(s.wanted) }

// Fetch asks for what is wanted, as Client.FetchLog does. Partitions without news are not in the answer, and those in
// it are asked for at the same position again unless Want or Drop says otherwise.
func (s *FetchSession) Fetch(ctx context.Context, limits FetchLimits) ([]Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.MaxWait+callTimeout)
	defer cancel()
	r, err := s.ask(ctx, limits)
	if err == nil && sessionLost(r.ErrorCode) { // evicted by others, or the broker has restarted: nothing else is wrong
		s.id = 0
		s.Begin()
		r, err = s.ask(ctx, limits)
	}
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		s.Begin() // the broker may have been told of what has changed, or not
		return nil, err
	}
	s.told(r.SessionID)
	return s.client.decodeFetched(s.topic, r, s.wanted, limits), nil
}

func (s *FetchSession) ask(ctx context.Context, limits FetchLimits) (*kmsg.FetchResponse, error) {
	version := fetchVersion(s.unnamed > 0)
	if version != s.version { // a session goes either by id or by name
		s.Begin()
	}
	s.version = version
	return Typed[*kmsg.FetchResponse](s.client.Broker(ctx, s.leader, s.request(limits)))
}

func (s *FetchSession) request(limits FetchLimits) *kmsg.FetchRequest {
	req := newFetchRequest(limits)
	req.Version, req.SessionID, req.SessionEpoch = s.version, s.id, s.epoch
	var topics fetchTopics
	if s.epoch == fullFetch {
		for partition, at := range s.wanted {
			topics.ask(s.topic, partition, at, limits)
		}
	} else {
		for partition := range s.changed {
			topics.ask(s.topic, partition, s.wanted[partition], limits)
		}
		for partition, id := range s.forgotten {
			topics.forget(s.topic, partition, id)
		}
	}
	req.Topics, req.ForgottenTopics = topics.asked, topics.forgotten
	return req
}

// Begin has the next fetch name all that is wanted, in a new session instead of the present one. It is for after an
// error: that a topic was made again, brokers tell in a session as an inconsistent id, or as a leader that has moved.
func (s *FetchSession) Begin() {
	s.epoch = fullFetch
	clear(s.changed)
	clear(s.forgotten)
}

// told notes that the broker knows what is wanted.
func (s *FetchSession) told(id int32) {
	clear(s.changed)
	clear(s.forgotten)
	switch {
	case id == 0: // it has no room for a session
		s.id = 0
		s.Begin()
	case s.epoch == fullFetch:
		s.id, s.epoch = id, 1
	case s.epoch == maxSessionEpoch: // 1 follows, as 0 means something else
		s.epoch = 1
	default:
		s.epoch++
	}
}

func sessionLost(code int16) bool {
	switch kafka.Error(code) {
	case kafka.FetchSessionIDNotFound, kafka.InvalidFetchSessionEpoch, kafka.FetchSessionTopicIDError:
		return true
	}
	return false
}
