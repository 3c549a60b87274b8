package cli

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
)

// The unit for systemd goes with the defaults and the exit codes of the program, and its secrets are keys that exist.
func TestDocsOfTheSystemdUnit(t *testing.T) {
	unit := readDoc(t, "deploy/systemd/balanceq.service")
	value := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
		if found == nil {
			t.Fatalf("the unit has no %s", name)
		}
		return found[1]
	}
	defaults := config.Default()
	if stop, err := time.ParseDuration(value("TimeoutStopSec")); err != nil ||
		stop != defaults.Shutdown.Timeout+10*time.Second {
		t.Errorf("TimeoutStopSec is %v, shutdown.timeout %v", stop, defaults.Shutdown.Timeout)
	}
	if code := value("RestartPreventExitStatus"); code != strconv.Itoa(command.ExitUsage) {
		t.Errorf("exit code %s prevents a restart", code)
	}
	if files, err := strconv.Atoi(value("LimitNOFILE")); err != nil || files < 10*defaults.CMS.MaxInFlight {
		t.Errorf("LimitNOFILE is %d (%v)", files, err)
	}
	secrets := readDoc(t, "deploy/systemd/balanceq.service.d/secrets.conf")
	reference := config.Reference()
	for _, line := range regexp.MustCompile(`(?m)^Environment=(\w+)=%d/(\S+)$`).FindAllStringSubmatch(secrets, -1) {
		if !strings.Contains(reference, "`"+line[1]+"`") {
			t.Errorf("%s is the variable of no key", line[1])
		}
		if !strings.Contains(secrets, "\nLoadCredential="+line[2]+":/etc/balanceq/secrets/"+line[2]+"\n") {
			t.Errorf("%s is no credential", line[2])
		}
	}
}
