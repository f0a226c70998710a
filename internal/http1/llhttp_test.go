package http1

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A case of testdata/llhttp, which are documents: a heading, the kind, the input, the log.
type llCase struct {
	name, kind string
	input      string
	refused    bool
	complete   int // messages
	body       string
}

var (
	llHeading = regexp.MustCompile(`^#+ (.*)$`)
	llMeta    = regexp.MustCompile(`^<!-- meta=(.*) -->$`)
	llBody    = regexp.MustCompile(`span\[body\]="(.*)"$`)
	llHex     = regexp.MustCompile(`\\x([0-9a-fA-F]+)`)
	llOctal   = regexp.MustCompile(`\\([0-7]{1,3})`)
	llLine    = regexp.MustCompile(`\\\n`)
)

func llCases(t *testing.T, side string) []llCase {
	t.Helper()
	files, err := filepath.Glob("testdata/llhttp/" + side + "/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	var out []llCase
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, llRead(t, strings.TrimSuffix(filepath.Base(f), ".md"), string(text))...)
	}
	return out
}

func llRead(t *testing.T, file, text string) (out []llCase) {
	t.Helper()
	heading, kind, input := "", "", ""
	block, in := "", []string(nil)
	seen := map[string]int{}
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case block != "" && line == "```":
			body := strings.Join(in, "\n")
			if block == "http" {
				input = llInput(body)
			} else if kind != "" {
				c := llCase{name: file + "/" + heading, kind: kind, input: input, refused: strings.Contains(body, "error code="), complete: strings.Count(body, " message complete")}
				for l := range strings.SplitSeq(body, "\n") {
					if m := llBody.FindStringSubmatch(l); m != nil {
						c.body += llInput(m[1])
					} else if m := strings.HasSuffix(l, `span[body]=cr`); m {
						c.body += "\r"
					} else if m := strings.HasSuffix(l, `span[body]=lf`); m {
						c.body += "\n"
					}
				}
				if seen[c.name]++; seen[c.name] > 1 {
					c.name += " #" + strconv.Itoa(seen[c.name])
				}
				out = append(out, c)
			}
			block, in = "", nil
		case block != "":
			in = append(in, line)
		case strings.HasPrefix(line, "```"):
			block = line[3:]
		default:
			if m := llHeading.FindStringSubmatch(line); m != nil {
				heading = m[1]
			} else if m := llMeta.FindStringSubmatch(line); m != nil {
				var meta struct{ Type string }
				if err := json.Unmarshal([]byte(m[1]), &meta); err != nil {
					t.Fatal(err)
				}
				kind = meta.Type
			}
		}
	}
	return out
}

// llInput undoes the documents' way to write what a line cannot hold.
func llInput(s string) string {
	s = strings.ReplaceAll(llLine.ReplaceAllString(s, ""), "\n", "\r\n")
	s = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\f`, "\f").Replace(s)
	s = llHex.ReplaceAllStringFunc(s, func(m string) string { n, _ := strconv.ParseUint(m[2:], 16, 8); return string([]byte{byte(n)}) })
	return llOctal.ReplaceAllStringFunc(s, func(m string) string { n, _ := strconv.ParseUint(m[1:], 8, 8); return string([]byte{byte(n)}) })
}

// withHost gives a request of the corpus the Host that most of them do without.
func withHost(input string) string {
	if strings.Contains(strings.ToLower(input), "host:") {
		return input
	}
	lead := len(input) - len(strings.TrimLeft(input, "\r\n"))
	if i := strings.Index(input[lead:], "\r\n"); i >= 0 {
		return input[:lead+i] + "\r\nHost: a" + input[lead+i:]
	}
	return input
}

func TestCorpus_Requests(t *testing.T) {
	t.Parallel()
	for _, c := range llCases(t, "request") {
		if strings.Contains(c.kind, "lenient") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			input := withHost(c.input)
			seen, answers := reads(input, 0)
			for _, piece := range []int{1, 3, 7} {
				again, other := reads(input, piece)
				if len(again) != len(seen) || statuses(other) != statuses(answers) {
					t.Errorf("in pieces of %d: %s, whole: %s", piece, statuses(other), statuses(answers))
				}
			}
			refused := strings.Contains(answers, "HTTP/1.1 4") || strings.Contains(answers, "HTTP/1.1 5") || len(seen) == 0
			body := ""
			for _, m := range seen {
				body += m.body
			}
			t.Logf("%q: %s %q", input, answers, body)
			compare(t, c, refused, body)
		})
	}
}

func compare(t *testing.T, c llCase, refused bool, body string) {
	t.Helper()
	if !c.refused && c.complete == 0 {
		return // the case ends before its message does
	}
	switch reason := differs[c.name]; {
	case reason != "" && refused == c.refused && (refused || body == c.body):
		t.Errorf("is listed as different (%s) and is not", reason)
	case reason != "":
	case refused != c.refused:
		t.Errorf("refused %v, the corpus says %v", refused, c.refused)
	case !refused && body != c.body:
		t.Errorf("body %q, want %q", body, c.body)
	}
}

func TestCorpus_Replies(t *testing.T) {
	t.Parallel()
	for _, c := range llCases(t, "response") {
		if strings.Contains(c.kind, "lenient") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			status, body, err := replies(c.input, 0)
			for _, piece := range []int{1, 3, 7} {
				status2, body2, err2 := replies(c.input, piece)
				if status2 != status || body2 != body || (err2 == nil) != (err == nil) {
					t.Errorf("in pieces of %d: %d %q %v, whole: %d %q %v", piece, status2, body2, err2, status, body, err)
				}
			}
			t.Logf("%q: %d %q %v", c.input, status, body, err)
			compare(t, c, err != nil, body)
		})
	}
}

// differs are the cases of the corpus that end otherwise here, and why.
var differs = map[string]string{
	"connection/HTTP/1.1 with keep-alive disabled and 204 status":                        "what follows the last answer is not looked at, and the connection closed",
	"connection/HTTP/1.1 with keep-alive disabled, content-length":                       "what follows the last answer is not looked at, and the connection closed",
	"connection/No restart when keep-alive is off (1.0)":                                 "what follows the last request is not looked at, and the connection closed",
	"connection/CRLF between requests, explicit `close`":                                 "what follows the last request is not looked at, and the connection closed",
	"connection/CRLF between requests, explicit `close` followed by tab":                 "what follows the last request is not looked at, and the connection closed",
	"connection/HTTP 304 with Content-Length":                                            "a call reads one answer; what follows it closes the connection",
	"connection/HTTP 304 with Transfer-Encoding":                                         "a call reads one answer; what follows it closes the connection",
	"connection/Restarting when keep-alive is explicitly":                                "a second request needs a Host of its own",
	"connection/CRLF between requests, implicit `keep-alive`":                            "one empty line is skipped, not two",
	"pipelining/Should parse multiple events":                                            "a call reads one answer; a second request needs a Host of its own",
	"connection/HTTP 100 first, then 400":                                                "an empty line before a status line is refused",
	"sample/Response starting with CRLF":                                                 "an empty line before a status line is refused",
	"connection/HTTP 103 first, then 200":                                                "the body is shorter than its length",
	"content-length/Content-Length reset when no body is received":                       "a body is read by its length, whatever it looks like",
	"connection/Multiple tokens with folding and LWS":                                    "Upgrade is not followed: the request is served as HTTP/1.1, the last of its connection",
	"connection/Setting a flag and pausing":                                              "Upgrade is not followed: the request is served as HTTP/1.1, the last of its connection",
	"connection/Emitting part of body and pausing":                                       "Upgrade is not followed: the request is served as HTTP/1.1, the last of its connection",
	"connection/Upgrade GET request":                                                     "Upgrade is not followed: the request is served as HTTP/1.1, the last of its connection",
	"connection/Upgrade POST request":                                                    "Upgrade is not followed: the request is served as HTTP/1.1, the last of its connection",
	"invalid/HTTP protocol and ANNOUNCE method":                                          "any token is a method (RFC 9110, section 9.1)",
	"invalid/Invalid method":                                                             "any token is a method (RFC 9110, section 9.1)",
	"method/M-SEARCH request":                                                            "the target * is for OPTIONS only",
	"method/SOURCE request with ICE":                                                     "not HTTP",
	"method/OPTIONS request with RTSP":                                                   "not HTTP",
	"method/ANNOUNCE request with RTSP":                                                  "not HTTP",
	"sample/curl GET":                                                                    "0.0.0.0=5000 is no host",
	"sample/Firefox GET":                                                                 "0.0.0.0=5000 is no host",
	"sample/No HTTP version":                                                             "HTTP/0.9 is not served",
	"transfer-encoding/POST with `chunked` as last transfer-encoding":                    "no coding but chunked",
	"transfer-encoding/POST with `chunked` as last transfer-encoding (multiple headers)": "one Transfer-Encoding",
	"uri/Host terminated by a query string":                                              "the target's host differs from the Host that the test adds",
	"uri/`host:port` terminated by a query string":                                       "the target's host differs from the Host that the test adds",
	"uri/`host:port` terminated by a space":                                              "the target's host differs from the Host that the test adds",
	"uri/Fragment in URI":                                                                "a target has no fragment",
	"uri/`host:port` and basic auth":                                                     "a target has no user name",
}
