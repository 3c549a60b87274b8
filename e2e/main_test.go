package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// TestMain gives the package a broker, and the program a folder to be built in.
func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		_, _ = fmt.Fprintln(os.Stdout, "e2e: all of it needs a broker: nothing to do with -short")
		return 0
	}
	code := kafkatest.Run(m, kafkatest.OnBroker(4))
	if err := os.RemoveAll(buildDir); err != nil {
		fmt.Fprintln(os.Stderr, "removing the program under test:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := kafkatest.FindLeaks(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines leaked:", err)
			code = 1
		}
	}
	return code
}

// buildDir is set by the build.
var buildDir string

// program builds the program under test when it is first needed, so that a run of unit tests does not wait for it, and
// returns its path.
var program = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "balanceq-e2e-"); err != nil {
		return "", fmt.Errorf("making a folder for the program: %w", err)
	}
	path = filepath.Join(buildDir, "balanceq")
	args := []string{"build", "-o", path}
	if kafkatest.Race { // what finds races in the tests finds them in the program
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "github.com/balanceq/balanceq/cmd/balanceq")...).
		CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("building the program: %w", err), errors.New(string(out)))
	}
	return path, nil
})
