package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkPrintable refuses what gets into a setting by accident only: line ends, spaces around it, broken encodings.
func checkPrintable(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8; write it again")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("contains a line end or another unprintable character; remove it")
	case strings.TrimSpace(s) != s:
		return errors.New("has spaces around it; remove them")
	}
	return nil
}

// checkSecret says nothing of the secret but that it cannot be right.
func checkSecret(s Secret) error {
	if t := s.Reveal(); !utf8.ValidString(t) || strings.ContainsFunc(t, unicode.IsControl) {
		return errors.New("contains a control character or is not valid UTF-8; write it again")
	}
	return nil
}

// checkName accepts what names a group, a client or an instance: one word that fits a text header.
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty; write a name")
	case len(s) > 249:
		return errors.New("is too long; write at most 249 characters")
	case strings.ContainsAny(s, " "):
		return fmt.Errorf("%q contains a space; write it without", s)
	}
	return nil
}

// checkInstance lets an empty one pass, which means the host name.
func checkInstance(s string) error {
	if s == "" {
		return nil
	}
	return checkName(s)
}

// checkSlot lets an empty one pass, which means that the instance is nobody in particular to the group.
func checkSlot(s string) error {
	if s == "" {
		return nil
	}
	return checkKafkaName(s, "an instance id")
}

func checkTopic(s string) error { return checkKafkaName(s, "a topic's name") }

// checkKafkaName applies Kafka's rule for topics and group.instance.id (org.apache.kafka.common.internals.Topic): 1 to 249
// of a-z A-Z 0-9 . _ -, and neither "." nor "..".
func checkKafkaName(s, what string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	switch {
	case s == "":
		return fmt.Errorf("is empty; write %s", what)
	case len(s) > 249:
		return errors.New("is too long; Kafka allows 249 characters")
	case s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return !legal(r) }):
		return fmt.Errorf("%q is not %s; use letters, digits, dots, underscores and dashes", s, what)
	}
	return nil
}

func checkBrokers(brokers []string) error {
	if len(brokers) == 0 {
		return errors.New("is empty; write at least one broker, for example kafka-1:9092")
	}
	for _, b := range brokers {
		if strings.Contains(b, "@") {
			return errors.New("contains a user or password; remove it and use the keys of kafka.sasl")
		}
		if host, port, ok := splitHostPort(b); !ok || host == "" || port == 0 {
			return fmt.Errorf("%q is not host:port; write for example kafka-1:9092, without a scheme", b)
		}
	}
	return nil
}

// checkHosts wants names as they stand in a Host header, without scheme and port.
func checkHosts(hosts []string) error {
	for _, h := range hosts {
		if strings.ContainsAny(h, "/:@*[] ") {
			return fmt.Errorf("%q is not a host's name; write for example balanceq-0.balanceq.svc, without scheme and port", h)
		}
	}
	return nil
}

// checkFields wants at least one member's name.
func checkFields(fields []string) error {
	if len(fields) == 0 {
		return errors.New("is empty; write at least one member's name, for example encryptedData")
	}
	return nil
}

// checkURL accepts an absolute http or https address with nothing behind its path.
func checkURL(s string) error {
	if s == "" {
		return nil // only run needs one: ValidateRun
	}
	_, err := parseAddress(s, "https://sandbox.api.mastercard.com/global-processing/core", "remove everything up to the @")
	return err
}

// checkProxy accepts environment, off, and an http or https address with a port and nothing behind it.
func checkProxy(s string) error {
	if s == ProxyEnvironment || s == ProxyOff {
		return nil
	}
	const example = "http://proxy.example.com:3128"
	if s == "" {
		return fmt.Errorf("is empty; write %s, %s or for example %s", ProxyEnvironment, ProxyOff, example)
	}
	u, err := parseAddress(s, example, "for a proxy with a password set the variable HTTPS_PROXY, and this to "+ProxyEnvironment)
	switch {
	case err != nil:
		return err
	case u.Port() == "" || u.Port() == "0":
		return errors.New("names no port; write for example " + example)
	case u.Path != "" && u.Path != "/":
		return errors.New("contains a path; remove what follows the port")
	}
	return nil
}

// parseAddress takes an absolute http or https address without user, query and fragment. Its errors never repeat the
// address, which may hold credentials; ofUser is what to do if it does.
func parseAddress(s, example, ofUser string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL; write for example " + example)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("does not start with https:// or http://; write the whole address")
	case u.Hostname() == "":
		return nil, errors.New("names no host; write for example " + example)
	case u.User != nil:
		return nil, errors.New("contains a user or password; " + ofUser)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("contains a query; remove the ? and what follows")
	case strings.Contains(s, "#"):
		return nil, errors.New("contains a fragment; remove the # and what follows")
	}
	if u.Port() != "" {
		if _, _, ok := splitHostPort(u.Host); !ok {
			return nil, errors.New("has a port above 65535; correct it")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return nil, errors.New("ends its host with a colon; write the port or remove the colon")
	}
	return u, nil
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
