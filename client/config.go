package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Config says how to reach Kafka, and how much may be under way. Only Brokers is required.
type Config struct {
	Brokers  []string // of the cluster, some or all: host:port
	ClientID string   // by which brokers know this program, for their quotas and logs; "": balanceq-client

	Requests string // topic; "": balance.requests
	Results  string // topic; "": balance.results
	// DeadLetters is the topic to read failures from, which takes the right to read it. Without it a failure is known
	// only where the service announces it on the results topic (results.publish-failures), and only its reason.
	DeadLetters string

	TLS  *tls.Config // nil: plain text
	SASL Login       // nil: none; see Password and Token

	// MaxWaiting bounds the requests without an answer, and so memory; Send waits while there are as many. 0: 20,000.
	MaxWaiting int
	// BufferBytes bounds what waits for Kafka to take it; Send waits while that is full. 0: 8 MiB.
	BufferBytes int
	// Margin is how much earlier than its context's a request's deadline is: after that, the service asks no more, but a
	// question that it has just asked may still take its time. At most a quarter of what is left. 0: 200 ms.
	Margin time.Duration

	// Propagate, if set, adds the trace context of ctx to a request. Ask calls it on another goroutine, and panics itself,
	// with the same value, where that panics: nothing is sent then. With OpenTelemetry it is
	//	func(ctx context.Context, h client.Headers) { otel.GetTextMapPropagator().Inject(ctx, h) }
	Propagate func(ctx context.Context, h Headers)
	// Observer, if set, hears of everything that happens, for metrics and logs.
	Observer Observer
}

// Observer hears what a client does. Its methods are called from the goroutines that do it, several at a time, and must
// not block.
type Observer interface {
	// Sent is called when a request is in the topic.
	Sent()
	// Answered is called when a request has its answer, so long after it was sent, also when no call waits for it any
	// more. reason is why it was refused, "" for a result.
	Answered(took time.Duration, reason schemas.Reason)
	// Unanswered is called when a Wait (or an Ask) has ended without an answer.
	Unanswered()
	// Failing is called for each try to write or read that has failed. It will be repeated.
	Failing(err error)
}

// unheard is the Observer where there is none.
type unheard struct{}

func (unheard) Sent()                                  {}
func (unheard) Answered(time.Duration, schemas.Reason) {}
func (unheard) Unanswered()                            {}
func (unheard) Failing(error)                          {}

// Login is how connections say who they are: Password, Token, or any mechanism of kafka-go (sasl.Mechanism).
type Login = kafkawire.Login

// Password is the login by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Use it with TLS.
func Password(mechanism, user, password string) (Login, error) {
	login, err := kafkawire.SASL(strings.ToLower(mechanism), user, func() string { return password })
	if err == nil && login == nil {
		err = errors.New("no mechanism; give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	}
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return login, nil
}

// Token is the login by OAUTHBEARER (KIP-255). token is asked for each connection, and again before a login ends, so it
// should keep a token while that is good. extensions (KIP-342) may be nil.
func Token(token func(context.Context) (string, error), extensions map[string]string) Login {
	return &kafkawire.OAuthBearer{Token: token, Extensions: extensions}
}

// Headers are those of a request to be sent. They are what OpenTelemetry calls a TextMapCarrier.
type Headers struct{ list *[]schemas.Header }

// Get returns the value of a header, "" if there is none.
func (h Headers) Get(key string) string {
	for _, one := range *h.list {
		if one.Key == key {
			return string(one.Value)
		}
	}
	return ""
}

// Set adds a header, or replaces it.
func (h Headers) Set(key, value string) {
	for i := range *h.list {
		if (*h.list)[i].Key == key {
			(*h.list)[i].Value = []byte(value)
			return
		}
	}
	*h.list = append(*h.list, schemas.Header{Key: key, Value: []byte(value)})
}

// Keys returns the names of all headers.
func (h Headers) Keys() []string {
	keys := make([]string, len(*h.list))
	for i, one := range *h.list {
		keys[i] = one.Key
	}
	return keys
}

// Defaults of Config.
const (
	defaultRequests    = "balance.requests"
	defaultResults     = "balance.results"
	defaultMaxWaiting  = 20_000
	defaultBufferBytes = 8 << 20
	defaultMargin      = 200 * time.Millisecond
)

func (cfg Config) withDefaults() Config {
	orDefault(&cfg.ClientID, "balanceq-client")
	orDefault(&cfg.Requests, defaultRequests)
	orDefault(&cfg.Results, defaultResults)
	orDefault(&cfg.MaxWaiting, defaultMaxWaiting)
	orDefault(&cfg.BufferBytes, defaultBufferBytes)
	orDefault(&cfg.Margin, defaultMargin)
	if cfg.Observer == nil {
		cfg.Observer = unheard{}
	}
	return cfg
}

func orDefault[T comparable](value *T, otherwise T) {
	var none T
	if *value == none {
		*value = otherwise
	}
}

func (cfg Config) check() error {
	switch {
	case len(cfg.Brokers) == 0:
		return errors.New("client: Brokers: is empty; give host:port of some brokers")
	case cfg.MaxWaiting < 0:
		return errors.New("client: MaxWaiting: is negative; leave it 0 for the default")
	case cfg.BufferBytes < 0:
		return errors.New("client: BufferBytes: is negative; leave it 0 for the default")
	case cfg.Margin < 0:
		return errors.New("client: Margin: is negative; leave it 0 for the default")
	}
	return nil
}

func (cfg Config) settings() kafkawire.Settings {
	s := kafkawire.Settings{Brokers: cfg.Brokers, ClientID: cfg.ClientID, SASL: cfg.SASL}
	if cfg.TLS != nil {
		s.TLS = func() *tls.Config { return cfg.TLS }
	}
	return s
}
