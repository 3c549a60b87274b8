// Package serve is the program cms-sim: the simulator of package cmssim behind a listener, with flags.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/cmssim"
)

// Exit codes, the same in all programs of balanceq.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// stopBudget is what calls in flight get when the program is asked to stop.
const stopBudget = 3 * time.Second

// help names the contracts that the ledger treats differently, so that they can be used without reading the source.
var help = `Simulates the balances operation of the Mastercard Processing Core API:

  GET ` + cmssim.BasePath + `/contracts/{contract_id}/balances?balance_codes=A,B

Balances are computed from contract id and code, always the same. Special contracts:
  70001   the sandbox's documented contract (AVAILABLE and BLOCKED only)
  404…    ids that start with 404 do not exist (404 CONTRACT_DOES_NOT_EXIST)
  204…    ids that start with 204 hold no balances (200 with an empty list)
  999…    ids that start with 999 hold amounts of 22 digits and ids of 18
Known codes:
  ` + strings.Join(cmssim.Codes[:7], ", ") + `,
  ` + strings.Join(cmssim.Codes[7:], ", ") + `

Calls need no signature and answers are plain http and plain JSON, until flags ask for more:
  --verify-consumer-key with --verify-key-file    calls have to be signed (OAuth 1.0a, RSA-SHA256 or RSA-PSS)
  --encrypt-key-file                              answers are encrypted (JWE)
  --tls-cert-file with --tls-key-file             https; with --tls-client-ca-file, with client certificates
Keys to try them with:
  openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
    -keyout key.pem -out cert.pem

Faults, latency and counters are controlled while it runs: GET /_sim/ lists how.
All who reach the listener can control it.`

// usageError marks errors about flags; everything else is a failure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Run serves until ctx ends and returns the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := newCommand()
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintf(stderr, "cms-sim: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		_, _ = fmt.Fprintln(stderr, "cms-sim --help lists the flags.")
		return exitUsage
	}
	return exitFailed
}

func newCommand() *cobra.Command {
	var listen string
	var config cmssim.Config
	var secure security
	command := &cobra.Command{
		Use:   "cms-sim",
		Short: "Simulates the balances operation of the Mastercard Processing Core API",
		Long:  help,
		Example: `  cms-sim --latency 80ms --jitter 40ms
  cms-sim --tls-cert-file cert.pem --tls-key-file key.pem
  curl -d '{"outage":"30s"}' http://127.0.0.1:8090/_sim/faults`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q: cms-sim takes flags only", args[0])}
			}
			return nil
		},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := secure.together(cmd.Flags()); err != nil {
				return usageError{err}
			}
			if err := secure.apply(&config); err != nil {
				return err
			}
			if err := config.Validate(); err != nil {
				return usageError{fmt.Errorf("flag --%w", err)}
			}
			config.Log = log.New(cmd.ErrOrStderr(), "cms-sim: ", 0)
			return serve(cmd.Context(), listen, config, cmd.OutOrStdout())
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&listen, "listen", "127.0.0.1:8090", "`address` to listen on; port 0 takes any free one")
	flags.DurationVar(&config.Latency, "latency", 20*time.Millisecond, "time that every call takes")
	flags.DurationVar(&config.Jitter, "jitter", 10*time.Millisecond, "a call's latency is uniform in latency ± jitter")
	flags.Uint64Var(&config.Seed, "seed", 0, "seed of jitter and of faults with a percentage; 0 takes a random one")
	flags.IntVar(&config.MaxConcurrent, "max-concurrent", 0, "calls in flight above this get 429; 0 means no limit")
	flags.BoolVar(&config.Record, "record", false, "keep the latest calls, for /_sim/stats?by=contract")
	flags.DurationVar(&config.ClockOffset, "clock-offset", 0, "how far the simulator's clock is ahead; negative: behind")
	secure.addFlags(flags)
	command.InitDefaultHelpFlag()
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" { // help shows --record, not --record[=true|false]
			f.Value = struct{ pflag.Value }{f.Value}
		}
	})
	return command
}

// serve runs the simulator until ctx ends, then lets the calls in flight end.
func serve(ctx context.Context, listen string, config cmssim.Config, stdout io.Writer) error {
	server, err := cmssim.Listen(listen, config)
	if err != nil {
		return fmt.Errorf("opening --listen %s: %w", listen, err)
	}
	_, _ = fmt.Fprintf(stdout, "cms-sim: set cms.url to %s and try: %s -d '{\"outage\":\"30s\"}' %s/faults\n",
		server.URL(), curl(config.TLS), server.ControlURL())
	select {
	case <-server.Done():
		return errors.Join(server.Err(), server.Close())
	case <-ctx.Done():
	}
	// A context of its own: ctx has just ended.
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBudget)
	defer cancel()
	return server.Shutdown(budget)
}

// curl is the command that reaches a simulator with that TLS, no matter who signed its certificate.
func curl(config *tls.Config) string {
	switch {
	case config == nil:
		return "curl"
	case config.ClientCAs == nil:
		return "curl --insecure"
	default:
		return "curl --insecure --cert CLIENT.pem --key CLIENT-KEY.pem"
	}
}
