package config

import (
	"strings"
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
	Registry    Registry
	DeadLetters DeadLetters
	Instance    string // never empty after Load
	HTTP        HTTP
	Watchdog    Watchdog
	Telemetry   Telemetry
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
	Enabled    bool
	ServerName string // empty: the host that is dialled
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
	OAuth        OAuth
}

// OAuth says where the tokens of SASLOAuthBearer come from: a file, or an authorization server by client credentials.
type OAuth struct {
	TokenFile        string
	TokenURL         string
	ClientID         string
	ClientSecret     Secret // after Load: also when it came from ClientSecretFile
	ClientSecretFile string
	Scopes           []string
	CAFile           string   // empty: the system's authorities
	Extensions       []string // key=value each
}

// ExtensionMap returns the extensions by key.
func (o OAuth) ExtensionMap() map[string]string {
	all := make(map[string]string, len(o.Extensions))
	for _, e := range o.Extensions {
		key, value, _ := strings.Cut(e, "=")
		all[key] = value
	}
	return all
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

// Results says what is published besides the answers, and where.
type Results struct {
	PublishFailures bool
	EchoHeaders     []string // of requests, that come back; at most schemas.MaxEchoHeaders
	ReplyTopics     []string // in which requests may want a copy
	Registry        ResultRegistry
}

// ResultRegistry is the schema registry that has the schema of results.
type ResultRegistry struct {
	URLs         []string // of one registry; empty: results are not framed
	Subject      string   // empty: see Config.ResultSubject
	AutoRegister bool
}

// RequestRegistry is the schema registry that the ids of framed requests are looked up in.
type RequestRegistry struct {
	URLs     []string // of one registry; empty: none are
	Subjects []string // empty: see Config.RequestSubjects
}

// Registry says how schema registries know us, both of them.
type Registry struct {
	Username     string
	Password     Secret // after Load: also when it came from PasswordFile
	PasswordFile string
	TokenFile    string // instead of a user
	TLSFiles            // of connections to https addresses
}

// AsksRegistry says whether there is a schema registry.
func (c Config) AsksRegistry() bool {
	return len(c.Requests.Registry.URLs)+len(c.Results.Registry.URLs) > 0
}

// DeadLetters says when there are too many of them.
type DeadLetters struct {
	Budget       float64 // share of a window's outcomes, 0 to 1; 1: no limit
	BudgetWindow time.Duration
}

// Requests says which valid requests are refused.
type Requests struct {
	RefuseCardNumbers bool
	Registry          RequestRegistry
}

// HTTP is about balanceq's own HTTP servers: one that only tells, and one that acts and reveals.
type HTTP struct {
	Listen         string // of the one that tells, host:port; empty: switched off
	Admin          string // of the one that acts; empty: switched off
	AdminTokenFile string // empty: no token is asked for
	AdminTLS       AdminTLS
	AllowedHosts   []string // names in Host, besides IP addresses and localhost
}

// AdminTLS names the PEM files of the server that acts; empty means none.
type AdminTLS struct {
	CertFile     string // together with KeyFile, or neither: plain HTTP
	KeyFile      string
	ClientCAFile string // empty: clients need no certificate
}

// Telemetry is about what leaves the instance for an observability backend.
type Telemetry struct {
	OTLP   OTLP
	Traces Traces
}

// Traces says which requests are traced, where an OTLP endpoint is named.
type Traces struct {
	Ratio       float64 // of the requests without a trace context; 0: as OTEL_TRACES_SAMPLER says, else none
	Parent      string  // ParentRequest or ParentNew
	DeadLetters bool    // all of them are traced
}

// OTLP says where OpenTelemetry's protocol goes, over HTTP.
type OTLP struct {
	Endpoint    string // base URL, without /v1/…; empty: as the OTEL_ variables say
	Headers     Secret // name=value,…; after Load: also when it came from HeadersFile
	HeadersFile string
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
