package deadletter

import (
	"fmt"

	"github.com/balanceq/balanceq/schemas"
)

// Advice is what to know and to do about the dead letters of a reason. docs/RUNBOOK.md and `deadletters show` print it
// from here.
type Advice struct {
	Means string // why balanceq gave the request up
	Look  string // what to look at
	Do    string // what to do, and whether a replay makes sense
	// Edit says that a request has to be changed before it is replayed: as it is, the same happens again.
	Edit bool
}

// AdviceFor returns the advice for a reason; that for reasons that balanceq does not have speaks of other writers.
func AdviceFor(reason schemas.Reason) Advice {
	if a, ok := advice[reason]; ok {
		return a
	}
	return Advice{
		Means: "Another writer put it here; its own message, if any, says why.",
		Look:  "The headers that begin with __dlq.errors., and the writer's log.",
		Do:    "Ask the writer's owners. Replay it only if it came from the request topic.",
	}
}

// foreign is the advice for a record that is no dead letter.
var foreign = Advice{
	Means: "It is no dead letter: it has none of the headers of one.",
	Look:  "Its key, value and headers, which may name the writer; who may write to the dead-letter topic.",
	Do:    "Stop what writes there. It is not replayed; retention will delete it.",
}

// Advice returns what to know and to do about this record.
func (l *Letter) Advice() Advice {
	if !l.Recognised() {
		return foreign
	}
	return AdviceFor(l.Info().Reason)
}

// Commands are what to type for one dead letter, at the end of Do: the first shows what a replay would do, the second
// does it. There are none for what is no dead letter.
func (a Advice) Commands(at schemas.Position) []string {
	if a == foreign {
		return nil
	}
	replay := fmt.Sprintf("balanceq deadletters replay --partition %d --offset %d", at.Partition, at.Offset)
	if a.Edit {
		return []string{replay, replay + " --edit --execute"}
	}
	return []string{replay, replay + " --execute"}
}

var advice = map[schemas.Reason]Advice{
	schemas.ReasonInvalidRequest: {
		Means: "The record is not a valid request; the detail names the field and what to send instead.",
		Look: "The detail and the value; the headers, which may name the publisher; " +
			"whether they began at one time (--by time), as after a release of it.",
		Do: "Have the publisher fixed, and have it send the requests again. " +
			"A replay as it is fails again; a single one can be corrected with --edit.",
		Edit: true,
	},
	schemas.ReasonContractNotFound: {
		Means: "The CMS answered 404 CONTRACT_DOES_NOT_EXIST: it has no such contract.",
		Look: "Whether it is one contract or many (--by contract). Many: whether the CMS's URL is the environment in " +
			"which they live.",
		Do: "Replay when the contract has been created or the URL is right. If the id is wrong, correct it at the publisher.",
	},
	schemas.ReasonRequestRejected: {
		Means: "The CMS answered 400 to this request, or something on the way refuses this one, while others are answered.",
		Look: "The CMS's reason code (--by cms-reason) and the balance codes asked for; " +
			"the CMS correlation id, by which Mastercard finds the call.",
		Do: "Fix the cause, often a balance code that the issuer does not have. " +
			"Where that is at the CMS, replay; where it is in the request, correct it with --edit.",
		Edit: true,
	},
	schemas.ReasonExpired: {
		Means: "Its deadline passed before the CMS could be asked.",
		Look: "Whether there was an outage or a backlog at that time (--by time), and whether deadlines are shorter than " +
			"those last. None of it: this machine's clock (`balanceq doctor`), or the publisher's.",
		Do: "Usually nothing: the answer is of no use any more. " +
			"A replay as it is expires again; --edit can change the deadline or remove it.",
		Edit: true,
	},
	schemas.ReasonAttemptsExhausted: {
		Means: "The CMS kept failing on this request while it answered others.",
		Look:  "The HTTP status (--by status) and the CMS's reason code; whether it is one contract or many (--by contract).",
		Do:    "Report it to Mastercard with the CMS correlation id. Replay when the cause is gone: one is tried first.",
	},
	schemas.ReasonUnexpectedResponse: {
		Means: "The CMS answered 2xx, again and again with something that cannot be read or decrypted.",
		Look: "The detail; whether the CMS's URL is the CMS and not a proxy's page; whether the decryption keys hold the " +
			"one in use.",
		Do: "Fix address or keys, or report it to Mastercard with the CMS correlation id. Then replay: one is tried first.",
	},
	schemas.ReasonResultTooLarge: {
		Means: "The request was answered, and its result, which repeats the request's key, is larger than the results " +
			"topic takes.",
		Look: "The detail names the sizes; the key, which is usually of a few bytes; `balanceq topics check`.",
		Do: "Have the publisher send smaller keys, or raise max.message.bytes of the results topic to that of the " +
			"requests. Then replay.",
	},
	schemas.ReasonInternalError: {
		Means: "balanceq itself failed on it: a defect.",
		Look:  "The log of the instance that is named, at that time: \"a panic while handling requests\" has the stack.",
		Do: "Report it with the stack and this record. Replay when a release has the remedy; before that it may fail " +
			"again.",
	},
}
