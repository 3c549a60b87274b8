// Package e2e holds the tests that drive the built program, as a child process, against a broker and the simulated CMS.
//
//	func TestAnswers(t *testing.T) {
//		t.Parallel()
//		r := newRig(t, 2, cmssim.Config{}) // topics of two partitions, a group and a CMS of the test's own
//		in := r.StartReady("--cms.timeout=1s") // the program, with flags beyond the rig's
//		r.Send(asks(100, 10, 5000)...) // a hundred requests for the contracts 5000 to 5009
//		r.AwaitCommitted()
//		r.Ledger().WantExactlyOnce()
//		in.Stop()
//	}
//
// Where to look:
//
//   - rig_test.go: [rig], what a test has for itself; asks, Send, AwaitCommitted;
//   - instance_test.go: [instance], a running program: Ready, Health, Metrics, Logs, Stop, Kill;
//   - ledger_test.go: [ledger], what came out of a rig, and whether each request was answered once and in order;
//   - exactlyonce_rig_test.go: traffic that goes on, and a subscriber that watches;
//   - mastercard_rig_test.go, secrets_rig_test.go: a CMS with TLS, signatures and encrypted answers, and keys for it
//     (keyfiles_test.go); the second repeats whatever it is told, to hunt for secrets;
//   - compat_rig_test.go: a cluster (kafkatest.Embedded) that answers as the test wants it to.
//
// A test waits for conditions (in.eventually, kafkatest.Eventually), never for time. One that another version of the
// broker would show nothing new calls kafkatest.OnlyOnce. With -short the whole package is left out.
package e2e
