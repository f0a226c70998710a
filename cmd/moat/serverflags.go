package main

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/pure/lazyregexp"
	"moat/internal/server"
)

// serverFlags are what `moat dev` and `moat serve` share.
type serverFlags struct {
	listen, data, region, account string
	baseURL, domain, database     string
	masterKeyFile                 string
	isolation, network            string
	logLevel                      string
	smtp, mailFrom                string
	smsWebhook, smsWebhookSecret  string
	allowPrivate                  bool
	trailDays                     int
	guardrails, vpcLinks, quotas  []string
	vpcEndpoints                  []string
	breached, metricsToken        string
}

var (
	accountPattern = lazyregexp.New(`^\d{12}$`)
	regionPattern  = lazyregexp.New(`^[a-z]{2}(-[a-z]+)+-\d$`)
)

func (f *serverFlags) register(cmd *cobra.Command, account, isolation string) {
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:4566", "address to listen on, for HTTP and TLS alike; port 0 takes a free one")
	fl.StringVar(&f.data, "data", ".moat", "folder of the database, the function packages and the master key")
	fl.StringVar(&f.region, "region", "us-east-1", "region of calls that name none, and of deployed templates")
	fl.StringVar(&f.account, "account", account, "account id, twelve digits")
	fl.StringVar(&f.baseURL, "base-url", "", "public address of this Moat (default: http://localhost:PORT)")
	fl.StringVar(&f.domain, "domain", "", "host name below which APIs and pool domains are served (default: localhost:PORT)")
	fl.StringVar(&f.database, "database", "", "postgres://... keeps the data there instead of in the data folder")
	fl.StringVar(&f.masterKeyFile, "master-key-file", "", "file of the key that seals secrets at rest (default: master.key in the data folder)")
	fl.IntVar(&f.trailDays, "trail-retention", 365, "days that the files of the audit trail are kept; 0 is for ever")
	fl.StringVar(&f.isolation, "isolation", isolation, "isolation of functions: require, prefer or none")
	fl.StringVar(&f.network, "function-network", "none", "network of functions: none (Moat alone can be reached) or host")
	fl.StringArrayVar(&f.guardrails, "guardrail", nil, "file of a service control policy that binds the whole account, its root too; may be given more than once")
	fl.StringArrayVar(&f.vpcLinks, "vpc-link", nil, "NAME=host:port,...: what a VPC link to the load balancer NAME reaches; may be given more than once")
	fl.StringArrayVar(&f.vpcEndpoints, "vpc-endpoint", nil, "VPCE-ID=host:port[,VPC-ID]: an address that stands for an interface VPC endpoint, by which private APIs are reached; may be given more than once")
	fl.StringArrayVar(&f.quotas, "quota", nil, "NAME=N: a quota of API Gateway that is not as AWS has it at first (resources=300, stages=10, ...); may be given more than once")
	fl.StringVar(&f.breached, "breached-passwords", "", "file of SHA-1 hashes of leaked passwords, sorted, in the form of Have I Been Pwned; in place of the short list that comes with Moat")
	fl.StringVar(&f.metricsToken, "metrics-token-file", "", "file of the bearer token with which monitoring reads /_moat/metrics")
	fl.StringVar(&f.logLevel, "log-level", "warn", "what is logged to standard error: debug, info, warn or error")
}

// config checks the flags and makes the server's configuration of them.
func (f *serverFlags) config(a *app) (server.Config, error) {
	var level slog.Level
	switch {
	case !accountPattern.MatchString(f.account):
		return server.Config{}, usagef("--account %q is not twelve digits", f.account)
	case !regionPattern.MatchString(f.region):
		return server.Config{}, usagef("--region %q is not a region such as us-east-1", f.region)
	case level.UnmarshalText([]byte(f.logLevel)) != nil:
		return server.Config{}, usagef("--log-level %q is none of debug, info, warn, error", f.logLevel)
	case f.isolation != "require" && f.isolation != "prefer" && f.isolation != "none":
		return server.Config{}, usagef("--isolation %q is none of require, prefer, none", f.isolation)
	case f.network != "none" && f.network != "host":
		return server.Config{}, usagef("--function-network %q is neither none nor host", f.network)
	}
	if f.trailDays < 0 || f.trailDays > 36500 {
		return server.Config{}, usagef("--trail-retention %d is no number of days", f.trailDays)
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return server.Config{}, usagef("--listen %q is not host:port", f.listen)
	}
	guardrails, err := readGuardrails(f.guardrails)
	if err != nil {
		return server.Config{}, err
	}
	links, err := readLinks(f.vpcLinks)
	if err != nil {
		return server.Config{}, err
	}
	endpoints, err := readVPCEndpoints(f.vpcEndpoints)
	if err != nil {
		return server.Config{}, err
	}
	quotas, err := readQuotas(f.quotas)
	if err != nil {
		return server.Config{}, err
	}
	token, err := readMetricsToken(f.metricsToken)
	if err != nil {
		return server.Config{}, err
	}
	return server.Config{
		VPCLinks: links, VPCEndpoints: endpoints, Quotas: quotas, MetricsToken: token,
		Guardrails: guardrails, BreachedPasswords: f.breached,
		Listen: f.listen, Data: f.data, Region: f.region, Account: f.account, BaseURL: f.baseURL, Domain: f.domain,
		Database: f.database, MasterKeyFile: f.masterKeyFile, Isolation: f.isolation, FunctionNetwork: f.network, Version: version,
		TrailRetention: time.Duration(f.trailDays) * 24 * time.Hour,
		Now:            time.Now, Rand: rand.Reader, Log: a.logger(level),
	}, nil
}

func (a *app) logger(level slog.Level) *slog.Logger {
	var w io.Writer = a.stderr
	if a.json {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// isLoopback reports whether an address to listen on is of this machine alone.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fileExists reports whether path is there.
func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
