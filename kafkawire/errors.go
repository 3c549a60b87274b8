package kafkawire

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/wait"
)

// Cause is what failed in a call of kafka-go's, without the name of its method ("kafka.(*Client).Metadata: …"), which
// tells a user nothing.
func Cause(err error) error {
	if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(err.Error(), "kafka.(*Client).") {
		return cause
	}
	return err
}

// Transient says whether the same request may simply be sent again after a pause (and a Reset). Errors that are not
// Kafka's own come from the connection: the request may or may not have been applied.
//
// Two that Repeat cures are left out: CONCURRENT_TRANSACTIONS needs neither the pause nor the Reset, and after
// UNKNOWN_SERVER_ERROR a transaction had better begin again.
func Transient(err error) bool {
	return err != nil && RemedyOf(err) == Repeat && !errors.Is(err, ErrCorrupt) && !errors.Is(err, kafka.Unknown) &&
		!ConcurrentTransactions(err) && !errors.Is(err, kafka.DuplicateSequenceNumber)
}

// ProducerStateLost says that the broker no longer knows the producer id's sequence (KIP-98): the batch may or may not
// be in the log, and only a new producer id can go on.
func ProducerStateLost(err error) bool {
	code, ok := errors.AsType[kafka.Error](err)
	if !ok {
		return false
	}
	switch code {
	case kafka.OutOfOrderSequenceNumber, kafka.UnknownProducerId, kafka.InvalidProducerEpoch, kafka.ProducerFenced:
		return true
	}
	return false
}

// TooLarge says that a batch is over the topic's max.message.bytes (or the broker's segment size).
func TooLarge(err error) bool {
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge)
}

// CodeError turns a protocol error code into kafka-go's error; 0 is nil.
func CodeError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

// explained is CodeError with what the broker says about it, or else the name where kafka-go has none.
func explained(code int16, message *string) error {
	err := CodeError(code)
	text := map[error]string{
		ErrFencedMemberEpoch: "FENCED_MEMBER_EPOCH", ErrUnreleasedInstanceID: "UNRELEASED_INSTANCE_ID",
		ErrUnsupportedAssignor: "UNSUPPORTED_ASSIGNOR", ErrStaleMemberEpoch: "STALE_MEMBER_EPOCH",
	}[err]
	if message != nil && *message != "" {
		text = *message
	}
	if err == nil || text == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, text)
}

// maxBrokerText bounds what is shown of a broker's own words, in bytes.
const maxBrokerText = 500

// refused is the error of a partition's part of a produce answer, with what the broker says about it and about the
// first record that it names.
func refused(p *kmsg.ProduceResponseTopicPartition) error {
	if p.ErrorCode == 0 {
		return nil
	}
	var said []string
	if p.ErrorMessage != nil {
		said = append(said, *p.ErrorMessage)
	}
	for _, r := range p.ErrorRecords {
		if r.ErrorMessage != nil && *r.ErrorMessage != "" && !slices.Contains(said, *r.ErrorMessage) {
			said = append(said, fmt.Sprintf("record %d of the batch: %s", r.RelativeOffset, *r.ErrorMessage))
			break
		}
	}
	text := printable.Text(strings.Join(said, "; "))
	if len(text) > maxBrokerText {
		text = strings.ToValidUTF8(text[:maxBrokerText], "") + "…"
	}
	return explained(p.ErrorCode, &text)
}

// OutOfRange says that the log does not hold the offset that was asked for.
func OutOfRange(err error) bool { return errors.Is(err, kafka.OffsetOutOfRange) }

// MadeAgain says that the topic of that id is gone: it was deleted, and may have been made again under its name.
func MadeAgain(err error) bool { return errors.Is(err, kafka.UnknownTopicID) }

// ErrNoLeader says that a partition has no leader at the moment. It is transient.
var ErrNoLeader error = kafka.LeaderNotAvailable

// Forbidden says that the brokers' ACLs lack something for this client.
func Forbidden(err error) bool {
	return errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.GroupAuthorizationFailed) ||
		errors.Is(err, kafka.ClusterAuthorizationFailed) || errors.Is(err, kafka.TransactionalIDAuthorizationFailed)
}

// TransactionForbidden is Forbidden for a transactional id.
func TransactionForbidden(err error) bool {
	return errors.Is(err, kafka.TransactionalIDAuthorizationFailed)
}

// GroupForbidden is Forbidden for a group.
func GroupForbidden(err error) bool { return errors.Is(err, kafka.GroupAuthorizationFailed) }

// LoginRefused says that the brokers do not take the SASL user and password, or the mechanism.
func LoginRefused(err error) bool {
	return errors.Is(err, kafka.SASLAuthenticationFailed) || errors.Is(err, kafka.UnsupportedSASLMechanism)
}

// NoCoordinator says that no broker coordinates the group or transactional id, at least at the moment.
func NoCoordinator(err error) bool { return errors.Is(err, kafka.GroupCoordinatorNotAvailable) }

// PartitionsError says which partitions of a request failed, and why: all others have their answer.
type PartitionsError map[int32]error

// Error implements error. It names the lowest partition.
func (e PartitionsError) Error() string {
	if len(e) == 0 {
		return "no partition failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e)))
	if len(e) == 1 {
		return e[first].Error()
	}
	return fmt.Sprintf("%v, and %d more partitions failed", e[first], len(e)-1)
}

// Unwrap lets errors.Is and errors.As look at each partition's error.
func (e PartitionsError) Unwrap() []error { return slices.Collect(maps.Values(e)) }

// orNil is e as an error: none where no partition failed.
func (e PartitionsError) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Failures gives each partition that was asked for and has no answer its error; err is that of the request,
// PartitionsError or one of all partitions.
func Failures[T any](asked []int32, answers map[int32]T, err error) map[int32]error {
	failed := map[int32]error{}
	each, _ := errors.AsType[PartitionsError](err)
	for _, id := range asked {
		if _, ok := answers[id]; ok {
			continue
		}
		failed[id] = cmp.Or(each[id], err)
	}
	return failed
}

// ReportAfter is how many failures in a row are told to people where they may pass by themselves: elections, and
// brokers that start or make a first producer id, cause some.
const ReportAfter = 4

// Report says whether the n-th failure in a row should be logged: as wait.Report, but one that may pass by itself not
// before ReportAfter. n counts from 1.
func Report(n int, err error) bool {
	return wait.Report(n) && (n >= ReportAfter || !Transient(err))
}
