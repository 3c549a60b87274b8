package deadletter

import "balanceq/schemas"

// Advice is what to know and to do about the dead letters of a reason. docs/RUNBOOK.md and `deadletters show` print it from here.
type Advice struct {
	Means string // why balanceq gave the request up
	Look  string // what to look at
	Do    string // what to do, and whether a replay makes sense
}

// AdviceFor returns the advice for a reason; that for reasons that are not ours speaks of other writers.
func AdviceFor(reason schemas.Reason) Advice {
	if a, ok := advice[reason]; ok {
		return a
	}
	return Advice{
		Means: "Another writer put it here; its own message, if any, says why.",
		Look:  "The headers that begin with __dlq.errors., and the writer's log.",
		Do:    "Ask the writer's owners. Replay it only if it was meant for the request topic.",
	}
}

var advice = map[schemas.Reason]Advice{
	schemas.ReasonInvalidRequest: {
		Means: "The record is not a valid request; the detail names the field and what to send instead.",
		Look:  "The value, and which publisher sends such records: group them by time, look for headers that name it.",
		Do:    "Have the publisher mended, and send the requests again. A replay as it is fails again; a single one can be mended and replayed with --edit.",
	},
	schemas.ReasonContractNotFound: {
		Means: "The CMS answered 404 CONTRACT_DOES_NOT_EXIST: it has no such contract.",
		Look:  "Whether the contract exists at the CMS by now, and whether cms.url is the environment that it lives in.",
		Do:    "Replay when the contract has been created. If the id is wrong, correct it at the publisher.",
	},
	schemas.ReasonRequestRejected: {
		Means: "The CMS answered 400: it does not take this request, while it takes others.",
		Look:  "The CMS's reason code and the correlation id, with which Mastercard finds the call; the balance codes asked for.",
		Do:    "Mend the cause (often a balance code that the issuer does not have), then replay, or mend one with --edit.",
	},
	schemas.ReasonExpired: {
		Means: "Its deadline passed before the CMS could be asked.",
		Look:  "Whether there was an outage or a backlog at that time, and whether the publisher's deadlines are shorter than those last.",
		Do:    "Usually nothing: nobody waits for the answer any more. A replay as it is expires again; --edit can remove the deadline.",
	},
	schemas.ReasonAttemptsExhausted: {
		Means: "The CMS kept failing on this request while it answered others.",
		Look:  "The HTTP status, the CMS's reason code and the correlation id; whether many contracts are affected or one.",
		Do:    "Report it to Mastercard with the correlation id. Replay when the cause is gone: a canary shows it.",
	},
	schemas.ReasonUnexpectedResponse: {
		Means: "The CMS answered 2xx, again and again with something that cannot be read or decrypted.",
		Look:  "The detail; whether cms.url is the CMS rather than a proxy's page, and whether the decryption keys are the present ones.",
		Do:    "Mend address or keys, or report it to Mastercard with the correlation id. Then replay.",
	},
	schemas.ReasonInternalError: {
		Means: "balanceq itself failed on it: a defect.",
		Look:  "The log of the instance named in balanceq-instance at that time: it has the stack.",
		Do:    "Report it with the stack and this record. Replay when a release has the remedy.",
	},
}
