// Package rights is the list of what balanceq has to be allowed on a Kafka with ACLs. It is kept for each of the things
// that people do with it. The command acls prints it, preflight names what of it is missing, and the table of
// docs/COMPATIBILITY.md is made of it.
package rights

import (
	"fmt"
	"strings"

	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/config"
)

// Purpose is what a principal does with balanceq.
type Purpose string

// What there is to do, by the commands' names.
const (
	Run         Purpose = "run"
	Request     Purpose = "request"
	Results     Purpose = "results"
	DeadLetters Purpose = "deadletters" // list, show, export, history
	Replay      Purpose = "replay"
	Skip        Purpose = "skip"
	Status      Purpose = "status"
	Topics      Purpose = "topics" // create
)

// Purposes are all of them, in the order in which people meet them.
var Purposes = []Purpose{Run, Request, Results, DeadLetters, Replay, Skip, Status, Topics}

// Right is one operation on one resource, in the words of kafka-acls.sh's flags. Read and Write include Describe.
type Right struct {
	Operation string // Read, Write, Describe, DescribeConfigs, Create
	Kind      string // Topic, Group, TransactionalID or Cluster
	Name      string // of the resource; "": the cluster
	Prefixed  bool   // Name is what the names begin with
	Without   string // what is missing where it is; "": nothing works
}

// What rights are for, in the words of the same flags.
const (
	Topic           = "topic"
	Group           = "group"
	TransactionalID = "transactional-id"
	Cluster         = "cluster"
)

// For lists the rights that serve a purpose.
func For(cfg config.Config, purpose Purpose) []Right {
	t := cfg.Topics
	topic := func(operation, name, without string) Right {
		return Right{Operation: operation, Kind: Topic, Name: name, Without: without}
	}
	const unchecked, unasked = "its settings are not checked, with a warning", "its settings are not asked for"
	switch purpose {
	case Run:
		all := []Right{
			topic("Read", t.Requests, ""),
			{Operation: "Read", Kind: Group, Name: cfg.Kafka.Group},
			topic("Write", t.Results, ""),
			topic("Write", t.DeadLetters, ""),
		}
		for _, name := range cfg.Results.ReplyTopics {
			all = append(all, topic("Write", name, ""))
		}
		if cfg.Delivery == config.DeliveryExactlyOnce {
			all = append(all, Transactional(cfg))
		}
		all = append(all, topic("Read", t.Replays, "a warning; what `balanceq skip` has decided is not found"))
		names := append([]string{t.Requests, t.Results, t.DeadLetters, t.Replays}, cfg.Results.ReplyTopics...)
		for _, name := range names {
			all = append(all, topic("DescribeConfigs", name, unchecked))
		}
		return append(all, Right{Operation: "DescribeConfigs", Kind: Cluster,
			Without: "the brokers' limits are not checked; their refusal comes later"})
	case Request:
		return []Right{
			topic("Write", t.Requests, ""),
			topic("DescribeConfigs", t.Requests, "a request that is larger than the topic takes is not refused at once"),
			topic("Read", t.Results, "`--wait` ends"), topic("Read", t.DeadLetters, "`--wait` ends"),
		}
	case Results:
		return []Right{topic("Read", t.Results, ""), topic("Read", t.DeadLetters, "`--deadletters` ends")}
	case DeadLetters, Replay:
		all := []Right{topic("Read", t.DeadLetters, ""), topic("Read", t.Replays, "")}
		if purpose == DeadLetters {
			return append(all, topic("Read", t.Results, "`history` ends"))
		}
		return append(all, topic("Read", t.Results, "the first replays are not followed; give `--canary off`"),
			topic("Write", t.Requests, ""), topic("Write", t.Replays, ""),
			Right{Operation: "Write", Kind: TransactionalID, Name: replay.TransactionalID(t.Replays)},
			topic("DescribeConfigs", t.Replays, unasked), topic("DescribeConfigs", t.DeadLetters, unasked))
	case Skip:
		return []Right{topic("Read", t.Requests, ""), topic("Write", t.Replays, "")}
	case Status:
		return []Right{
			topic("Describe", t.Requests, ""), {Operation: "Describe", Kind: Group, Name: cfg.Kafka.Group},
			topic("Read", t.Requests, "the age of the oldest requests is not shown, and lag may count marks of transactions"),
		}
	case Topics:
		all := []Right{
			{Operation: "Create", Kind: Cluster},
			{Operation: "DescribeConfigs", Kind: Cluster, Without: "give `--replication`"},
		}
		for _, name := range append([]string{t.Requests, t.Results, t.DeadLetters, t.Replays}, cfg.Results.ReplyTopics...) {
			all = append(all, topic("Describe", name, "if it makes this one, it waits 10 s to see it"))
		}
		return all
	}
	return nil
}

// Transactional is the right of all instances to their transactional ids.
func Transactional(cfg config.Config) Right {
	return Right{Operation: "Write", Kind: TransactionalID, Name: cfg.TransactionalIDPrefix(), Prefixed: true}
}

// Flags are those of kafka-acls.sh that name the right.
func (r Right) Flags() string {
	text := "--operation " + r.Operation + " --" + r.Kind
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Prefixed {
		text += " --resource-pattern-type prefixed"
	}
	return text
}

// Command is the line that grants the right to a principal, such as User:balanceq.
func (r Right) Command(k config.Kafka, principal string) string {
	return fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal %s %s",
		k.Brokers[0], quoted(principal), r.Flags())
}

// quoted is a word of a POSIX shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// Table is the table of docs/COMPATIBILITY.md.
func Table(cfg config.Config) string {
	var b strings.Builder
	b.WriteString("| for | right | without it |\n|---|---|---|\n")
	for _, p := range Purposes {
		for _, r := range For(cfg, p) {
			without := r.Without
			if without == "" {
				without = "it ends"
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", p, r.Flags(), without)
		}
	}
	return b.String()
}
