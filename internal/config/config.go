package config

import (
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// Config holds every setting. Load fills it; the table (keys.go) says what each field means, its default and its
// limits.
type Config struct {
	Kafka       Kafka
	Topics      Topics
	CMS         CMS
	Consumer    Consumer
	Producer    Producer
	Delivery    string // one of the Delivery constants
	Results     Results
	Requests    Requests
	DeadLetters DeadLetters
	Instance    string // never empty after Load
	HTTP        HTTP
	Watchdog    Watchdog
	Log         Log
	Shutdown    Shutdown
}

// Kafka says how to reach the cluster and how to take part in the consumer group.
type Kafka struct {
	Brokers            []string // host:port each, at least one
	Group              string
	Start              string // StartEarliest, StartLatest, or what ParseStart takes
	ClientID           string
	SessionTimeout     time.Duration
	RebalanceTimeout   time.Duration
	GroupProtocol      string // one of the Group constants
	InstanceID         string // may be empty: a dynamic member
	LeaveOnStop        bool
	TransactionTimeout time.Duration
	TLS                TLS
	SASL               SASL
}

// TLS holds the settings of encrypted connections to Kafka.
type TLS struct {
	Enabled bool
	TLSFiles
}

// TLSFiles names what one end of a TLS connection needs. The files are PEM; empty means none.
type TLSFiles struct {
	CAFile   string // empty: the system's authorities
	CertFile string // together with KeyFile, or neither
	KeyFile  string
}

// SASL holds the credentials for Kafka.
type SASL struct {
	Mechanism    string // one of the SASL constants
	Username     string
	Password     Secret // after Load: also when it came from PasswordFile
	PasswordFile string
}

// Topics names the topics. Replays is for the tools, and for what balanceq skip decides.
type Topics struct {
	Requests    string
	Results     string
	DeadLetters string
	Replays     string
}

// CMS says how to call the CMS and how to treat its failures.
type CMS struct {
	cmsclient.Settings // after Load: MinInFlight never above MaxInFlight
	Auth               Auth
	Decryption         Decryption
	TLS                TLSFiles
	Proxy              string // ProxyEnvironment, ProxyOff, or http(s)://host:port without user info
	Coalesce           bool
	MaxAttempts        int
	Backoff            Backoff
}

// Auth holds what proves to the CMS who we are.
type Auth struct {
	Method          string // AuthNone or AuthOAuth1
	Signature       string // SignatureRSASHA256 or SignatureRSAPSS
	ConsumerKey     Secret // after Load: also when it came from ConsumerKeyFile
	ConsumerKeyFile string
	KeyFile         string // PKCS#12 or PEM
	KeyPassword     Secret // after Load: also when it came from KeyPasswordFile
	KeyPasswordFile string
	KeyExpires      time.Time // the day's first instant, UTC; zero: not known here
}

// Decryption holds what opens encrypted answers.
type Decryption struct {
	KeyFiles        []string // PKCS#12 or PEM; may be empty
	KeyPassword     Secret   // of all KeyFiles; after Load: also when it came from KeyPasswordFile
	KeyPasswordFile string
	Fields          []string  // members that hold an encrypted payload, at least one
	KeyExpires      time.Time // the day's first instant, UTC; zero: not known here
}

// Backoff bounds the wait between the attempts of one request.
type Backoff struct {
	Initial time.Duration
	Max     time.Duration
}

// Consumer bounds what is read ahead and says how often progress is committed.
type Consumer struct {
	CommitInterval time.Duration
	RunAhead       int   // records per partition
	FetchBytes     int64 // per partition and fetch
}

// Producer bounds what waits to be written.
type Producer struct {
	BufferBytes int64
}

// Results says what is published besides the answers.
type Results struct {
	PublishFailures bool
}

// DeadLetters says when there are too many of them.
type DeadLetters struct {
	Budget       float64 // share of a window's outcomes, 0 to 1; 1: no limit
	BudgetWindow time.Duration
}

// Requests says which valid requests are refused.
type Requests struct {
	RefuseCardNumbers bool
}

// HTTP is about balanceq's own HTTP server.
type HTTP struct {
	Listen       string   // host:port; empty: switched off
	AllowedHosts []string // names in Host for what is neither a probe nor /metrics
}

// Log is about logging.
type Log struct {
	Level  string // trace, debug, info, warn or error
	Format string // LogFormatAuto, LogFormatJSON or LogFormatText
}

// Watchdog tells stuck from waiting.
type Watchdog struct {
	After time.Duration // above whatever may take that long by itself; see Config.slowest
}

// Shutdown is about stopping.
type Shutdown struct {
	Timeout time.Duration
}

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

// Default returns the configuration that no flag, variable or file has touched. Its Instance is empty: Load fills in
// the host name.
func Default() Config {
	var c Config
	for i := range keys {
		// The tests set every default, so none can fail to parse.
		_ = keys[i].bind(&c).set(keys[i].def)
	}
	return c
}
