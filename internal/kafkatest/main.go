package kafkatest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// startTimeout bounds the start of one broker: a JVM on a busy machine is slow.
const startTimeout = 2 * time.Minute

// Option changes what Main does.
type Option func(*settings)

type settings struct {
	onBroker int // tests at once where the broker is a real one
}

// OnBroker says how many tests run at once on a real broker; else they are 2.
func OnBroker(n int) Option { return func(s *settings) { s.onBroker = n } }

// Main runs the tests of a package with one shared broker, stops everything that was started, fails the run if
// goroutines leaked, and exits the process. It is the whole of a TestMain.
func Main(m *testing.M, options ...Option) {
	code := Run(m, options...)
	if code == 0 {
		if err := FindLeaks(); err != nil {
			fmt.Fprintln(os.Stderr, "kafkatest: goroutines leaked:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// FindLeaks returns an error that shows the goroutines that are left. A control function of kfake that runs while its
// cluster is closed waits for ever for a lock; only kfake could end it.
func FindLeaks() error {
	const control = "github.com/twmb/franz-go/pkg/kfake.(*Cluster).runControl.func1"
	return goleak.Find(goleak.IgnoreAnyFunction(control))
}

func apply(options []Option) settings {
	s := settings{onBroker: 2}
	for _, option := range options {
		option(&s)
	}
	return s
}

// Run is Main without the check for leaks and without the exit, for a TestMain with more to do. It returns the exit
// code.
func Run(m *testing.M, options ...Option) int {
	chosen, err := choose(context.Background(), os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest: no broker:", err)
		return 1
	}
	current = &session{choice: chosen}
	if chosen.kind != KindExternal {
		if current.port, err = FreePort(); err != nil {
			fmt.Fprintln(os.Stderr, "kafkatest: no broker:", err)
			return 1
		}
	}
	fmt.Println(chosen.line(chosen.brokersAt(current.port)))
	if err := setParallel(chosen.kind, apply(options).onBroker); err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest:", err)
		return 1
	}
	code := m.Run()
	if err := current.close(); err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest: stopping the broker:", err)
		code = max(code, 1)
	}
	return code
}

// setParallel says how many tests run side by side, unless the command line or TestMain has said so: most of them wait,
// for brokers and for timers, and not for a core. A broker in a container wants cores of its own, and so does the race
// detector.
func setParallel(kind string, onBroker int) error {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if chosen {
		return nil
	}
	n := "16"
	switch {
	case kind != KindEmbedded:
		n = strconv.Itoa(onBroker)
	case Race:
		n = "6"
	}
	return flag.Set("test.parallel", n)
}

// session is one run of a package's tests. Run sets it before any test starts and nothing replaces it.
var current *session

type session struct {
	choice choice
	port   int // announced for the shared broker; 0 for an external one

	once   sync.Once
	broker *Broker
	err    error
}

// Shared returns the package's broker and starts it if this is the first call. With go test -short it skips the test.
// It panics, which ends the run, where TestMain did not call Main or Run, and where the chosen broker does not start.
func Shared(tb testing.TB) *Broker {
	tb.Helper()
	needsBroker(tb)
	s := current
	if s == nil {
		panic("kafkatest: no broker: call kafkatest.Main(m) in TestMain")
	}
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		s.broker, s.err = launch(ctx, s.choice, s.port)
		if s.err == nil && s.port != 0 && s.broker.port != s.port {
			fmt.Println(s.choice.line(s.broker.addrs) + " (the port announced was taken meanwhile)")
		}
	})
	if s.err != nil {
		panic(fmt.Sprintf("kafkatest: starting the shared broker: %v", s.err))
	}
	return s.broker
}

// Undisturbed is Shared for tests of groups: an embedded broker is one of the test's own, since kfake begins a new
// epoch of every group when any topic is made.
func Undisturbed(tb testing.TB) *Broker {
	tb.Helper()
	if shared := Shared(tb); shared.Kind() != KindEmbedded {
		return shared
	}
	return New(tb)
}

// New starts a broker that belongs to one test, which may stop, restart or pause it; it is removed when the test ends.
// The test is skipped with go test -short, and where BALANCEQ_TEST_BROKERS names a cluster, which has no brokers to
// give away.
func New(tb testing.TB) *Broker {
	tb.Helper()
	needsBroker(tb)
	if current == nil {
		tb.Fatal("kafkatest: no broker: call kafkatest.Main(m) in TestMain")
	}
	if current.choice.kind == KindExternal {
		tb.Skip("kafkatest: needs a broker of its own, but " + envBrokers + " names a shared cluster")
	}
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	port, err := FreePort()
	if err != nil {
		tb.Fatal("kafkatest: ", err)
	}
	broker, err := launch(ctx, current.choice, port)
	if err != nil {
		tb.Fatal("kafkatest: starting a broker: ", err)
	}
	broker.own = true
	tb.Cleanup(func() {
		if err := broker.remove(); err != nil {
			tb.Error("kafkatest: removing the broker: ", err)
		}
	})
	return broker
}

// close removes the shared broker and waits for the reaper, so that the process leaves nothing behind.
func (s *session) close() error {
	s.once.Do(func() {}) // from here on nothing starts a broker
	var err error
	if s.broker != nil {
		err = s.broker.remove()
	}
	err = errors.Join(err, removeGuarded())
	watch.close()
	if s.choice.engine != nil {
		closeIdle(s.choice.engine.Client)
	}
	return err
}
