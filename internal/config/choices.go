package config

// Values of kafka.start, besides times and ages.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// Values of kafka.sasl.mechanism; all but none are the names registered with IANA, in lower case.
const (
	SASLNone        = "none"
	SASLPlain       = "plain"
	SASLScramSHA256 = "scram-sha-256"
	SASLScramSHA512 = "scram-sha-512"
	SASLOAuthBearer = "oauthbearer"
)

// Values of cms.auth.method.
const (
	AuthNone   = "none"
	AuthOAuth1 = "oauth1"
)

// Values of cms.auth.signature: OAuth 1.0a's RSA-SHA256 and RSA-PSS, as Mastercard's gateway knows them.
const (
	SignatureRSASHA256 = "rsa-sha256"
	SignatureRSAPSS    = "rsa-pss"
)

// Values of cms.proxy besides an address.
const (
	ProxyEnvironment = "environment" // HTTPS_PROXY, HTTP_PROXY, NO_PROXY
	ProxyOff         = "off"
)

// Values of kafka.group-protocol. GroupAuto is GroupConsumer where the brokers offer it, else GroupClassic.
const (
	GroupAuto     = "auto"
	GroupClassic  = "classic"
	GroupConsumer = "consumer" // KIP-848
)

// Values of delivery.
const (
	DeliveryAtLeastOnce = "at-least-once"
	DeliveryExactlyOnce = "exactly-once"
)

// Values of log.format. LogFormatAuto is text when standard error is a terminal, else JSON.
const (
	LogFormatAuto = "auto"
	LogFormatJSON = "json"
	LogFormatText = "text"
)

// Values of telemetry.traces.parent.
const (
	ParentRequest = "request"
	ParentNew     = "new"
)
