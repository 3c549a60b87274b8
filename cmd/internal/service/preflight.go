package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"balanceq/cmd/internal/config"
	"balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// Finding is something that a check found, and what to do about it.
type Finding struct {
	Problem string
	Fix     string
	Fatal   bool // the service cannot work like this
}

func (f Finding) String() string { return f.Problem + "; " + f.Fix }

const (
	kafkaPatience = 30 * time.Second // a cluster that is starting beside us gets this long
	kafkaPause    = time.Second
	dialPatience  = 3 * time.Second
)

// Preflight checks topics and the CMS's address before the service joins the group. Warnings are logged; the error joins
// everything that would keep it from working.
func Preflight(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	findings, err := CheckTopics(ctx, cfg, log)
	if err != nil {
		return err
	}
	findings = append(findings, checkCMS(ctx, cfg)...)
	var fatal []error
	for _, f := range findings {
		if f.Fatal {
			fatal = append(fatal, errors.New(f.String()))
		} else {
			log.Warn().Str("fix", f.Fix).Msg(f.Problem)
		}
	}
	return errors.Join(fatal...)
}

// configMaxMessage is the broker's name of a topic's limit of one message.
const configMaxMessage = "max.message.bytes"

// DeadLetterHeadroom is how much larger than its request a dead letter may become: its headers.
const DeadLetterHeadroom = 64 << 10

// CheckTopics looks at the three topics. Its error says that the cluster could not be asked.
func CheckTopics(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]Finding, error) {
	settings, err := KafkaSettings(cfg)
	if err != nil {
		return nil, err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	var findings []Finding
	topics := map[string]kafkawire.Topic{}
	for _, name := range []string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters} {
		t, err := describe(ctx, client, name, log)
		if errors.Is(err, kafkawire.ErrNoTopic) {
			findings = append(findings, Finding{Fatal: true,
				Problem: fmt.Sprintf("topic %s does not exist", name), Fix: "create it with: balanceq topics create"})
			continue
		}
		if err != nil {
			return nil, err
		}
		topics[name] = t
	}
	requests, okRequests := topics[cfg.Topics.Requests]
	dead, okDead := topics[cfg.Topics.DeadLetters]
	if okRequests && okDead && dead.MaxMessageBytes() > 0 && dead.MaxMessageBytes() < requests.MaxMessageBytes()+DeadLetterHeadroom {
		findings = append(findings, Finding{
			Problem: fmt.Sprintf("topic %s takes messages of %d bytes and %s of %d: the largest requests would not fit with their dead-letter headers",
				requests.Name, requests.MaxMessageBytes(), dead.Name, dead.MaxMessageBytes()),
			Fix: fmt.Sprintf("set %s of %s to at least %d", configMaxMessage, dead.Name, requests.MaxMessageBytes()+DeadLetterHeadroom),
		})
	}
	return findings, nil
}

// describe waits for a cluster that cannot be reached yet.
func describe(ctx context.Context, client *kafkawire.Client, name string, log zerolog.Logger) (kafkawire.Topic, error) {
	deadline := time.Now().Add(kafkaPatience)
	for {
		t, err := client.DescribeTopic(ctx, name, configMaxMessage)
		if err == nil || errors.Is(err, kafkawire.ErrNoTopic) || !kafkawire.Transient(err) || ctx.Err() != nil {
			return t, err
		}
		if time.Now().After(deadline) {
			return t, fmt.Errorf("asking Kafka at %s: %w; check kafka.brokers (and kafka.tls, kafka.sasl), or start the cluster",
				strings.Join(client.Settings().Brokers, ","), err)
		}
		log.Warn().Err(err).Strs("brokers", client.Settings().Brokers).Msg("waiting for Kafka")
		timer := time.NewTimer(kafkaPause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// checkCMS tries the CMS's address, or that of the proxy on the way there. A CMS that is down is no reason not to start:
// the breaker waits for it.
func checkCMS(ctx context.Context, cfg config.Config) []Finding {
	hop, err := FirstHop(cfg.CMS)
	if err != nil {
		return []Finding{{Fatal: true, Problem: err.Error(), Fix: "correct cms.url or the proxy's address"}}
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hop.Address())
	if err != nil {
		what := "the CMS"
		if hop.Proxy {
			what = "the proxy on the way to the CMS"
		}
		return []Finding{{
			Problem: fmt.Sprintf("%s at %s cannot be reached at the moment: %v", what, hop.Address(), err),
			Fix:     hop.Fix() + ", unless it is known to be down: requests wait until the CMS answers",
		}}
	}
	_ = conn.Close() // only whether it opens matters
	return nil
}
