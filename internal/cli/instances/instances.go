// Package instances asks running instances over HTTP: which there are, and how they answer.
package instances

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// Instance is a running instance of the service, by the base URL of its HTTP server: http://127.0.0.1:8080.
type Instance struct{ URL string }

// URLs returns the base URLs of the instances that --service names; without the flag, that of http.listen ("": off),
// as seen from this machine. It is nil where there is nothing to ask. The errors name the flag and the fix.
func URLs(flag []string, listen string) ([]string, error) {
	if len(flag) == 0 {
		if listen == "" {
			return nil, nil
		}
		host, port, err := net.SplitHostPort(listen)
		if err != nil {
			return nil, fmt.Errorf("http.listen: %q is not host:port; name the instances with --service", term.Shorten(listen))
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return []string{"http://" + net.JoinHostPort(host, port)}, nil
	}
	urls := make([]string, 0, len(flag))
	for _, text := range flag {
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		// What it holds is not repeated: it may be a password.
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New(
				"--service: not the address of an instance; write http://host:port, the host and port of its http.listen")
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("--service: write http://host:port, without user, query or fragment")
		}
		urls = append(urls, strings.TrimRight(u.String(), "/"))
	}
	return urls, nil
}

const (
	instanceTimeout   = 10 * time.Second // of one question, however long the command may take
	maxInstanceAnswer = 64 << 10
)

// instanceClient goes straight to the instances and follows no redirects: whatever answers at that address must be one.
var instanceClient = &http.Client{
	Timeout: instanceTimeout,
	Transport: &http.Transport{
		Proxy: nil, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: instanceTimeout / 2}).DialContext, TLSHandshakeTimeout: instanceTimeout / 2,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Ready asks /readyz. An instance that is not ready is no error.
func (i Instance) Ready(ctx context.Context) (health telemetry.Health, err error) {
	err = i.ask(ctx, http.MethodGet, "/readyz", "", &health, http.StatusOK, http.StatusServiceUnavailable)
	return health, err
}

// Resume lets an instance go on that was paused by its dead-letter budget, in the name of who.
func (i Instance) Resume(ctx context.Context, who string) (answer telemetry.Resumption, err error) {
	err = i.ask(ctx, http.MethodPost, "/resume", who, &answer, http.StatusOK)
	return answer, err
}

// ask sends a request without a body and decodes the answer, which must have one of these statuses. Its errors name the
// instance.
func (i Instance) ask(ctx context.Context, method, path, who string, answer any, statuses ...int) error {
	req, err := http.NewRequestWithContext(ctx, method, i.URL+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", i.URL, err)
	}
	if who != "" {
		req.Header.Set(telemetry.OperatorHeader, who)
	}
	resp, err := instanceClient.Do(req)
	if err != nil {
		if of, ok := errors.AsType[*url.Error](err); ok { // says the URL once more
			err = of.Err
		}
		return fmt.Errorf("%s cannot be reached: %w", i.URL, err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInstanceAnswer))
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", i.URL, err)
	}
	for _, status := range statuses {
		if resp.StatusCode != status {
			continue
		}
		if err := json.Unmarshal(body, answer); err != nil {
			return fmt.Errorf("%s does not answer as balanceq does: %w", i.URL, err)
		}
		return nil
	}
	if resp.StatusCode == http.StatusForbidden && len(body) > 0 {
		return fmt.Errorf("%s refuses: %.400s", i.URL, printable.Text(strings.TrimSpace(string(body))))
	}
	return fmt.Errorf("%s answers %d to %s %s: is it a balanceq of this version?", i.URL, resp.StatusCode, method, path)
}

// Operator is who gives an order, for logs: user@host, in printable ASCII.
func Operator() string {
	name := os.Getenv("USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return cleanOperator(name, host)
}

func cleanOperator(name, host string) string {
	clean := func(text, otherwise string) string {
		text = strings.Map(func(c rune) rune {
			if c <= ' ' || c > '~' {
				return '_'
			}
			return c
		}, schemas.Mask(text))
		if text == "" {
			return otherwise
		}
		return text[:min(len(text), 60)]
	}
	return clean(name, "unknown") + "@" + clean(host, "unknown")
}
