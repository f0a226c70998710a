package wire

import (
	"net/http"
	"strings"
)

// Browsers may read every answer: each call that matters is signed or brings its
// own proof, and no cookie or other ambient authority counts here.
const (
	exposedHeaders = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,x-amz-function-error,x-amz-log-result,x-amz-executed-version,Date"
	allowedMethods = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"
	allowedHeaders = "authorization,cache-control,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-target," +
		"x-amz-user-agent,x-amzn-platform-id,x-amzn-trace-id,amz-sdk-invocation-id,amz-sdk-request"
	preflightAge = "172800"
)

// preflight answers a browser that asks before it calls; it reports whether the
// request was such a question.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	h.Set("Access-Control-Allow-Headers", allowedFor(r.Header.Get("Access-Control-Request-Headers")))
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
	h.Set("Access-Control-Max-Age", preflightAge)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return true
}

// allowedFor echoes the header names that are asked for: with "*" alone a browser
// would still refuse Authorization (Fetch standard, CORS-preflight fetch).
func allowedFor(requested string) string {
	var out []string
	for name := range strings.SplitSeq(requested, ",") {
		if name = strings.TrimSpace(name); isToken(name) && len(out) < 64 {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return allowedHeaders
	}
	return strings.Join(out, ",")
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// allowOrigin marks an answer as readable from any origin.
func allowOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}
