// Package instances asks running instances over HTTP: which there are, and how they answer.
package instances

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/telemetry"
)

// Instance is a running instance of the service, by the base URL of one of its HTTP servers: http://127.0.0.1:8080.
type Instance struct {
	URL    string
	token  string
	client *http.Client
}

// Access is what instances ask for; the zero value is nothing.
type Access struct {
	Token string      // "": none
	TLS   *tls.Config // of https; nil: the system's authorities, no certificate
}

const (
	instanceTimeout   = 10 * time.Second // of one question, however long the command may take
	maxInstanceAnswer = 4 << 20          // the state of 10,000 partitions is 1 MB
)

// At is the instance at a URL. It is asked straight and its redirects are not followed: whatever answers at that
// address must be one, and gets the token.
func At(url string, access Access) Instance {
	return Instance{URL: url, token: access.Token, client: &http.Client{
		Timeout: instanceTimeout,
		Transport: &http.Transport{
			Proxy: nil, DisableKeepAlives: true, TLSClientConfig: access.TLS,
			DialContext: (&net.Dialer{Timeout: instanceTimeout / 2}).DialContext, TLSHandshakeTimeout: instanceTimeout / 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Ready asks /readyz. An instance that is not ready is no error.
func (i Instance) Ready(ctx context.Context) (health telemetry.Health, err error) {
	err = i.ask(ctx, http.MethodGet, "/readyz", "", &health, http.StatusOK, http.StatusServiceUnavailable)
	return health, err
}

// Alive asks /livez: does it move, or have a reason not to. Where it does not, why says at which stage and since when.
func (i Instance) Alive(ctx context.Context) (alive bool, why string, err error) {
	status, body, err := i.send(ctx, http.MethodGet, "/livez", "", http.StatusOK, http.StatusServiceUnavailable)
	if err != nil || status == http.StatusOK {
		return err == nil, "", err
	}
	var stuck telemetry.Stuck
	if err := json.Unmarshal(body, &stuck); err != nil {
		return false, "", i.stranger(err)
	}
	return false, fmt.Sprintf("stuck at %s since %s: %s",
		stuck.Stage, stuck.Since.UTC().Format(time.RFC3339), printable.Text(stuck.Reason)), nil
}

// Status asks /status.
func (i Instance) Status(ctx context.Context) (status telemetry.Status, err error) {
	err = i.ask(ctx, http.MethodGet, "/status", "", &status, http.StatusOK)
	return status, err
}

// Resume lets an instance go on that was paused by its dead-letter budget, in the name of a person or program (who).
func (i Instance) Resume(ctx context.Context, who string) (answer telemetry.Resumption, err error) {
	err = i.ask(ctx, http.MethodPost, "/resume", who, &answer, http.StatusOK)
	return answer, err
}

// ask sends a request without a body and decodes the answer, which must have one of these statuses. Its errors name the
// instance.
func (i Instance) ask(ctx context.Context, method, path, who string, answer any, statuses ...int) error {
	_, body, err := i.send(ctx, method, path, who, statuses...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return i.stranger(err)
	}
	return nil
}

func (i Instance) stranger(err error) error {
	return fmt.Errorf("%s does not answer as balanceq does: %w", i.URL, err)
}

// send is ask without decoding.
func (i Instance) send(ctx context.Context, method, path, who string, statuses ...int) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, i.URL+path, http.NoBody)
	if err != nil {
		return 0, nil, fmt.Errorf("asking %s: %w", i.URL, err)
	}
	if who != "" {
		req.Header.Set(telemetry.OperatorHeader, who)
	}
	if i.token != "" {
		req.Header.Set("Authorization", "Bearer "+i.token)
	}
	resp, err := i.client.Do(req)
	if err != nil {
		if of, ok := errors.AsType[*url.Error](err); ok { // says the URL once more
			err = of.Err
		}
		return 0, nil, fmt.Errorf("%s cannot be reached: %w", i.URL, err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInstanceAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("%s: reading the answer: %w", i.URL, err)
	}
	if slices.Contains(statuses, resp.StatusCode) {
		return resp.StatusCode, body, nil
	}
	return 0, nil, i.refused(method, path, resp.StatusCode, printable.Text(strings.TrimSpace(string(body))))
}

// refused explains an answer with another status than those that were expected.
func (i Instance) refused(method, path string, status int, text string) error {
	switch status {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("%s refuses: %.400s", i.URL, text)
	case http.StatusNotFound:
		if where, ok := strings.CutPrefix(text, "not here, but at "); ok { // the other one of its two servers
			return fmt.Errorf("%s does not take orders: ask it at its %.400s", i.URL, where)
		}
	}
	return fmt.Errorf("%s answers %d to %s %s: is it a balanceq of this version?", i.URL, status, method, path)
}
