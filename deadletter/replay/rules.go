package replay

import (
	"strconv"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"
)

// Obstacle says why a letter is not replayed. "" is none.
type Obstacle string

// The obstacles.
const (
	NotADeadLetter  Obstacle = "no dead letter"     // it has no header of one
	OtherTopic      Obstacle = "of another topic"   // its request did not stand on the request topic
	AlreadyReplayed Obstacle = "replayed already"   // the ledger has it
	Incomplete      Obstacle = "not whole"          // some of its request was left out
	ReplayLimit     Obstacle = "replayed too often" // its request has been replayed as often as Rules allow
	TooLarge        Obstacle = "too large"          // for the request topic
	nothing         Obstacle = ""
)

// Obstacles lists them in the order in which they are looked for.
var Obstacles = []Obstacle{NotADeadLetter, OtherTopic, AlreadyReplayed, Incomplete, ReplayLimit, TooLarge}

// Rules say which letters may be replayed.
type Rules struct {
	Requests   string // topic
	MaxReplays int    // of one request: it may fail again and again
	MaxBytes   int    // of a message of the request topic; 0: not known
	Replayed   *deadletter.Positions
}

// room is what a batch with one record needs besides key, value and headers, generously.
const room = 256

// Obstacle returns what keeps a letter from being replayed.
func (r *Rules) Obstacle(l *deadletter.Letter) Obstacle {
	info := l.Info()
	switch {
	case !l.Recognised():
		return NotADeadLetter
	case info.HasSource && info.Source.Topic != r.Requests:
		return OtherTopic
	case r.Replayed.Has(l.Partition, l.Offset):
		return AlreadyReplayed
	case info.Omission != nil:
		return Incomplete
	case info.ReplayCount >= r.MaxReplays:
		return ReplayLimit
	case r.MaxBytes > 0 && !fits(l, r.MaxBytes):
		return TooLarge
	}
	return nothing
}

// fits says whether a topic with that limit takes the letter's request.
func fits(l *deadletter.Letter, limit int) bool {
	whole := messageSize(schemas.Message{Key: l.Key, Value: l.Value, Headers: l.Headers})
	// or without what makes it a dead letter
	return whole+replayHeadroom <= limit || messageSize(schemas.ReplayMessage(l.Record, "", schemas.Trace{})) <= limit
}

// replayHeadroom is more than the headers of a replay take.
const replayHeadroom = 4 << 10

func messageSize(m schemas.Message) int {
	size := room + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// Explain is the obstacle in words for people, with what to do about it: "left out: 3 " goes before it.
func (r *Rules) Explain(o Obstacle) string {
	switch o {
	case NotADeadLetter:
		return "without any header of a dead letter: something else wrote them"
	case OtherTopic:
		return "from another topic than " + r.Requests
	case AlreadyReplayed:
		return "replayed already: balanceq deadletters history shows when"
	case Incomplete:
		return "without a part of the request, which was too large for the dead-letter topic: read it where it stands on " +
			r.Requests + " (balanceq deadletters show), and have the publisher send it again"
	case ReplayLimit:
		return "replayed " + strconv.Itoa(r.MaxReplays) + " times or more: --max-replays raises the limit"
	case nothing:
	case TooLarge:
		return "larger than " + r.Requests + " takes: raise its max.message.bytes"
	}
	return string(o)
}
