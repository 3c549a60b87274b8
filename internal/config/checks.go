package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

// checkPrintable refuses what gets into a setting by accident only: line ends, spaces around it, broken encodings.
func checkPrintable(s string) *fault {
	switch {
	case !utf8.ValidString(s):
		return &fault{"is not valid UTF-8", "write it again"}
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return &fault{"contains a line end or another unprintable character", "remove it"}
	case strings.TrimSpace(s) != s:
		return &fault{"has spaces around it", "remove them"}
	}
	return nil
}

// checkSecret says nothing of the secret but that it cannot be right.
func checkSecret(s Secret) *fault {
	if t := s.Reveal(); !utf8.ValidString(t) || strings.ContainsFunc(t, unicode.IsControl) {
		return &fault{"contains a control character or is not valid UTF-8", "write it again"}
	}
	return nil
}

// checkName accepts what names a group, a client or an instance: one word that fits a text header.
func checkName(s string) *fault {
	switch {
	case s == "":
		return &fault{"is empty", "write a name"}
	case len(s) > 249:
		return &fault{"is too long", "write at most 249 characters"}
	case strings.ContainsAny(s, " "):
		return &fault{fmt.Sprintf("%q contains a space", s), "write it without"}
	}
	return nil
}

// checkInstance lets an empty one pass, which means the host name.
func checkInstance(s string) *fault {
	if s == "" {
		return nil
	}
	return checkName(s)
}

// checkSlot lets an empty one pass, which means that the instance has no name in the group.
func checkSlot(s string) *fault {
	if s == "" {
		return nil
	}
	return checkKafkaName(s, "an instance id")
}

func checkTopic(s string) *fault { return checkKafkaName(s, "a topic's name") }

// checkTopics lets an empty list pass.
func checkTopics(topics []string) *fault {
	for i, topic := range topics {
		if f := checkTopic(topic); f != nil {
			return f
		}
		if slices.Contains(topics[:i], topic) {
			return &fault{fmt.Sprintf("names %q twice", topic), "remove one of them"}
		}
	}
	return nil
}

// checkEcho refuses what would say something else on a result than on the request.
func checkEcho(names []string) *fault {
	if len(names) > schemas.MaxEchoHeaders {
		return &fault{fmt.Sprintf("has %d names", len(names)), fmt.Sprintf("write at most %d", schemas.MaxEchoHeaders)}
	}
	for i, name := range names {
		switch {
		case len(name) > 249:
			return &fault{"has a name that is too long", "write at most 249 characters each"}
		case schemas.OwnHeader(name):
			return &fault{fmt.Sprintf("%q has a meaning of its own on results", name), "remove it; content-type, traceparent, " +
				"tracestate and names that begin with ce_, balanceq- or __ cannot come back"}
		case slices.Contains(names[:i], name):
			return &fault{fmt.Sprintf("names %q twice", name), "remove one of them"}
		}
	}
	return nil
}

// checkKafkaName applies Kafka's rule for topics and group.instance.id (org.apache.kafka.common.internals.Topic): 1 to
// 249 of a-z A-Z 0-9 . _ -, and neither "." nor "..".
func checkKafkaName(s, what string) *fault {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	switch {
	case s == "":
		return &fault{"is empty", "write " + what}
	case len(s) > 249:
		return &fault{"is too long", "Kafka allows 249 characters"}
	case s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return !legal(r) }):
		return &fault{fmt.Sprintf("%q is not %s", s, what), "use letters, digits, dots, underscores and dashes"}
	}
	return nil
}

func checkBrokers(brokers []string) *fault {
	if len(brokers) == 0 {
		return &fault{"is empty", "write at least one broker, for example kafka-1:9092"}
	}
	for _, b := range brokers {
		if strings.Contains(b, "@") {
			return &fault{"contains a user or password", "remove it and use the keys of kafka.sasl"}
		}
		if host, port, ok := splitHostPort(b); !ok || host == "" || port == 0 {
			return &fault{fmt.Sprintf("%q is not host:port", b), "write for example kafka-1:9092, without a scheme"}
		}
	}
	return nil
}

// checkHosts wants names as they stand in a Host header, without scheme and port.
func checkHosts(hosts []string) *fault {
	for _, h := range hosts {
		if strings.ContainsAny(h, "/:@*[] ") {
			return &fault{fmt.Sprintf("%q is not a host's name", h),
				"write for example balanceq-0.balanceq.svc, without scheme and port"}
		}
	}
	return nil
}

// checkFields wants at least one member's name.
func checkFields(fields []string) *fault {
	if len(fields) == 0 {
		return &fault{"is empty", "write at least one member's name, for example encryptedData"}
	}
	return nil
}

const exampleProxy = "http://proxy.example.com:3128"

// checkProxy accepts environment, off, and an http or https address with a port and nothing behind it.
func checkProxy(s string) *fault {
	switch s {
	case ProxyEnvironment, ProxyOff:
		return nil
	case "":
		return &fault{"is empty", "write " + ProxyEnvironment + ", " + ProxyOff + " or for example " + exampleProxy}
	}
	_, err := cmsclient.ProxyAt(s)
	if wrong, ok := errors.AsType[*cmsclient.FieldError](err); ok {
		return &fault{wrong.What, wrong.Fix}
	}
	return nil
}

// checkEndpoint accepts the base URL of an OTLP receiver, or nothing.
func checkEndpoint(s string) *fault {
	const fix = "write for example http://otel-collector:4318"
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return &fault{"is no http or https URL", fix} // not quoted: it may hold a password
	case u.User != nil:
		return &fault{"contains a user or password", "remove it and use telemetry.otlp.headers"}
	case u.RawQuery != "" || u.Fragment != "":
		return &fault{"has something behind its path", fix}
	}
	return nil
}

// splitHostPort takes host:port with a numeric port; the host may be empty.
func splitHostPort(s string) (host string, port uint16, ok bool) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@,") {
		return "", 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, false
	}
	return host, uint16(n), true
}

// isMastercard says whether a host is one of Mastercard's, whose gateway guards it.
func isMastercard(host string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".mastercard.com")
}

// consumerKeyShape is that of the keys which Mastercard Developers gives out: 97 characters.
var consumerKeyShape = regexp.MustCompile(`^[!-~]{48}![!-~]{48}$`)

// isLoopback says whether a host name or address never leaves this machine; RFC 6761 reserves localhost for that.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkTokenURL wants an address that a secret may be sent to.
func checkTokenURL(s string) *fault {
	const fix = "write it as https://host/path"
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return &fault{"is no http or https URL", fix} // not quoted: it may hold a password
	case u.User != nil:
		return &fault{"contains a user or password", "remove it and use kafka.sasl.oauth.client-id"}
	}
	return nil
}

// checkExtensions: keys are letters, values printable ASCII (RFC 7628, section 3.1); auth is the token's own.
func checkExtensions(extensions []string) *fault {
	for _, e := range extensions {
		key, value, ok := strings.Cut(e, "=")
		letters := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		printable := !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
		if !ok || !letters || !printable || key == "auth" {
			return &fault{fmt.Sprintf("%q is no extension", e),
				"write key=value with a key of letters, for example logicalCluster=lkc-1"}
		}
	}
	return nil
}
