package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unsigned are the headers that a proxy may change or that cannot be known when
// signing.
func unsigned(lower string) bool {
	switch lower {
	case "authorization", "user-agent", "expect", "connection", "transfer-encoding", "x-amzn-trace-id", "x-forwarded-for":
		return true
	}
	return false
}

// Sign sets X-Amz-Date, X-Amz-Security-Token and Authorization on r.Header. It
// signs the host and every header present but those that proxies change, and
// the path in its normalised form unless the service is s3.
func Sign(r *Request, payloadHash string, c Credentials, region, service string, t time.Time) {
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	t = t.UTC()
	r.Header.Set("X-Amz-Date", t.Format(timeLayout))
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	if service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", payloadHash)
	}
	signed := strings.Join(signedHeaders(r.Header), ";")
	date := t.Format("20060102")
	canonical := appendCanonical(nil, r, signed, payloadHash, service == "s3", service != "s3", false)
	r.Header.Set("Authorization", Algorithm+" Credential="+c.AccessKeyID+"/"+date+"/"+region+"/"+service+"/"+terminator+
		", SignedHeaders="+signed+
		", Signature="+signature(canonical, c.SecretAccessKey, t, date, region, service))
}

// Presign returns the raw query, signature included, of a request that may be
// sent without further headers but those in r.Header. r is not changed. Zero
// expires leaves X-Amz-Expires out.
func Presign(r *Request, c Credentials, region, service string, t time.Time, expires time.Duration) string {
	t = t.UTC()
	date := t.Format("20060102")
	signed := strings.Join(signedHeaders(r.Header), ";")
	query := r.RawQuery
	add := func(name, value string) {
		if query != "" {
			query += "&"
		}
		query += name + "=" + recode(strings.ReplaceAll(strings.ReplaceAll(value, "%", "%25"), "+", "%2B"))
	}
	add("X-Amz-Algorithm", Algorithm)
	add("X-Amz-Credential", c.AccessKeyID+"/"+date+"/"+region+"/"+service+"/"+terminator)
	add("X-Amz-Date", t.Format(timeLayout))
	add("X-Amz-SignedHeaders", signed)
	if expires != 0 {
		add("X-Amz-Expires", strconv.Itoa(int(expires/time.Second)))
	}
	if c.SessionToken != "" {
		add("X-Amz-Security-Token", c.SessionToken)
	}
	payload := EmptyPayload
	if service == "s3" {
		payload = UnsignedPayload
	}
	q := *r
	q.RawQuery = query
	canonical := appendCanonical(nil, &q, signed, payload, service == "s3", service != "s3", true)
	return query + "&X-Amz-Signature=" + signature(canonical, c.SecretAccessKey, t, date, region, service)
}

func signature(canonical []byte, secret string, t time.Time, date, region, service string) string {
	key := deriveKey(keyScope{secret, date, region, service})
	return hex.EncodeToString(mac(key[:], string(appendStringToSign(nil, canonical, t.Format(timeLayout), date, region, service))))
}

// signedHeaders lists, in order, the headers to sign.
func signedHeaders(h http.Header) []string {
	names := []string{"host"}
	for name := range h {
		if lower := strings.ToLower(name); lower != "host" && !unsigned(lower) {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	return names
}
