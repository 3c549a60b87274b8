package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// service is what both documents say.
type service struct {
	Perspective string
	Config      config.Config // the defaults
	Channels    []channel
	Traits      []trait
	Messages    []message
	Operations  []operation
	Securities  []security
	Limits      []limit
	Reasons     []schemas.Reason
}

type channel struct {
	Name, Topic, Title, About string // Topic "": each request says which
	WrittenBy, ReadBy, Key    string
	Messages                  []string
	Partitions                int  // 0: as many as you like
	KeepsAll                  bool // for ever
}

// operation is one of balanceq's: what it receives, others send.
type operation struct {
	Name, Action, Channel, Title, About string
	Messages                            []string
	Reply, ReplyHeader                  string // the channel of the answer, and the request's header that names its topic
}

type security struct{ Name, Type, Mechanism, About string }

type limit struct {
	What  string
	Value int64
	Unit  string
}

const perspective = "Everything here is said from balanceq's side, as AsyncAPI asks of the application that a " +
	"document describes: an operation that receives is one by which balanceq reads. If you publish requests, you send " +
	"where it says receive; if you read results, you receive where it says send."

func describe() (service, error) {
	s := service{Perspective: perspective, Config: config.Default(), Reasons: schemas.Reasons, Limits: limits,
		Securities: securities}
	t := s.Config.Topics
	s.Channels = []channel{
		{Name: "requests", Topic: t.Requests, Title: "Requests", About: "What you want to know.",
			WrittenBy: "your services", ReadBy: "balanceq, as one consumer group",
			Key:      "the contract id, so that requests of one contract stay in order",
			Messages: []string{"request", "requestEvent", "requestEnvelope"}},
		{Name: "results", Topic: t.Results, Title: "Results",
			About:     "The answers, and, with results.publish-failures, an announcement of each dead letter.",
			WrittenBy: "balanceq", ReadBy: "your services", Key: "the request's key, else the contract id",
			Messages: []string{"result"}},
		{Name: "deadletters", Topic: t.DeadLetters, Title: "Dead letters",
			About:     "Requests that were given up, each with the reason in headers.",
			WrittenBy: "balanceq", ReadBy: "operators, by balanceq deadletters", Key: "the request's key, unchanged",
			Messages: []string{"deadLetter"}},
		{Name: "replays", Topic: t.Replays, Title: "Replays",
			About:     "The ledger of replays and skips. It is balanceq's own and no contract: do not read or write it.",
			WrittenBy: "balanceq deadletters replay, balanceq skip", ReadBy: "the same, and every instance",
			Key: "balanceq's own", Messages: []string{"ledgerEntry"}, Partitions: 1, KeepsAll: true},
		{Name: "replies", Title: "Reply topics",
			About: "Topics of results.reply-topics: a copy of the result, where the request's header " +
				schemas.HeaderReplyTopic + " names one of them. None is on that list by default.",
			WrittenBy: "balanceq", ReadBy: "who has sent the request", Key: "the request's key, else the contract id",
			Messages: []string{"result"}},
	}
	s.Operations = []operation{
		{Name: "receiveRequest", Action: "receive", Channel: "requests", Title: "Take a request",
			About:    "Each request gets exactly one answer: a result, or a dead letter.",
			Messages: []string{"request", "requestEvent", "requestEnvelope"}, Reply: "results"},
		{Name: "receiveRequestWithReplyTopic", Action: "receive", Channel: "requests",
			Title: "Take a request that wants a copy of its answer",
			About: "The result is in the results topic as always, and a copy of it in the reply topic. " +
				"A topic that is not on the list results.reply-topics is passed over.",
			Messages: []string{"request", "requestEvent", "requestEnvelope"}, Reply: "replies",
			ReplyHeader: schemas.HeaderReplyTopic},
		{Name: "sendResult", Action: "send", Channel: "results", Title: "Answer", Messages: []string{"result"},
			About: "It may come twice after a crash, with the same " + schemas.HeaderEventID +
				", unless delivery is exactly-once."},
		{Name: "sendDeadLetter", Action: "send", Channel: "deadletters", Title: "Give a request up",
			About: "Key, value and headers are the request's, byte for byte.", Messages: []string{"deadLetter"}},
		{Name: "sendLedgerEntry", Action: "send", Channel: "replays", Title: "Note a replay or a skip",
			About: "By the command line.", Messages: []string{"ledgerEntry"}},
		{Name: "receiveLedgerEntry", Action: "receive", Channel: "replays", Title: "Look up replays and skips",
			About: "By every instance and the command line, without a group.", Messages: []string{"ledgerEntry"}},
	}
	s.Traits = traits(s.Config.Results.EchoHeaders)
	var err error
	s.Messages, err = messages()
	return s, err
}

// limits are those that a publisher or reader can meet.
var limits = []limit{
	{"value of a request", schemas.MaxRequestSize, "bytes"},
	{"nesting of a request", schemas.MaxRequestDepth, "levels"},
	{"largest contractId", schemas.MaxContractID, ""},
	{"balanceCodes, different ones", schemas.MaxBalanceCodes, "codes"},
	{"one balance code", schemas.MaxCodeLength, "characters"},
	{"requestId", schemas.MaxRequestID, "bytes"},
	{"headers that come back on the result", schemas.MaxEchoHeaders, "names"},
	{"one header that comes back on the result", schemas.MaxEchoValue, "bytes"},
	{"a text header of a dead letter", schemas.MaxDetail, "bytes"},
	{"a record that is read whole, decompressed", kafkawire.MaxRecordBytes, "bytes"},
	{"headers of a record that is read whole", kafkawire.MaxRecordHeaders, "headers"},
}

// securities are the logins that balanceq knows; the others are the cluster's to choose.
var securities = []security{
	{"scramSha512", "scramSha512", config.SASLScramSHA512, "User and password, over TLS."},
	{"scramSha256", "scramSha256", config.SASLScramSHA256, "User and password, over TLS."},
	{"plain", "plain", config.SASLPlain, "User and password; over TLS only, as they are sent as they are."},
	{"oauthBearer", "oauth2", config.SASLOAuthBearer, "A token of your authorization server, by client credentials."},
	{"clientCertificate", "X509", "", "A client certificate (mutual TLS)."},
}

// limitsText is the table as one sentence.
func limitsText() string {
	parts := make([]string, len(limits))
	for i, l := range limits {
		parts[i] = strings.TrimSpace(fmt.Sprintf("%s: %d %s", l.What, l.Value, l.Unit))
	}
	return "Limits: " + strings.Join(parts, "; ") + "."
}

// key says what the key of a message is.
func (s service) key(message string) string {
	for _, c := range s.Channels {
		if slices.Contains(c.Messages, message) {
			return c.Key
		}
	}
	return ""
}
