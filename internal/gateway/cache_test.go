package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/wire"
)

var forever = CacheSettings{Enabled: true, TTL: 5 * time.Minute}

// caching is the API of the truth table with a cache for all GET methods.
func caching(upstream string, change func(d *Definition)) Definition {
	d := courses(upstream)
	d.Cache = &Cache{Bytes: 1 << 20}
	d.Settings = map[string]MethodSettings{"*/*": {Cache: forever}}
	d.Authorizers["fn"] = Authorizer{ID: "fn", Name: "fn", Type: "TOKEN", URI: lambda("authorizer"), IdentitySource: "method.request.header.Authorization"}
	d.Routes = append(d.Routes,
		Route{Path: "/page", Method: "GET", ResourceID: "p1", AuthorizationType: "NONE", Integration: proxy("page")},
		Route{Path: "/page/{id}", Method: "GET", ResourceID: "p2", AuthorizationType: "NONE", Integration: with(proxy("page"), "method.request.path.id", "method.request.querystring.q", "method.request.header.X-Lang")},
		Route{Path: "/page", Method: "POST", ResourceID: "p1", AuthorizationType: "NONE", Integration: proxy("page")},
		Route{Path: "/custom", Method: "GET", ResourceID: "p3", AuthorizationType: "CUSTOM", AuthorizerID: "fn", Integration: proxy("page")},
		Route{Path: "/me", Method: "GET", ResourceID: "p4", AuthorizationType: "AWS_IAM", Integration: proxy("page")},
	)
	if change != nil {
		change(&d)
	}
	return d
}

func with(in Integration, keys ...string) Integration {
	in.CacheKeyParameters = keys
	return in
}

// counting answers each invocation of a function with its number.
func (k *kit) counting(answer string) *atomic.Int64 {
	n := new(atomic.Int64)
	k.invoker.f = func(inv Invocation) (Result, error) {
		if strings.HasSuffix(inv.FunctionARN, "authorizer") {
			var in struct{ AuthorizationToken string }
			if err := json.Unmarshal(inv.Payload, &in); err != nil {
				return Result{}, err
			}
			actions := `"execute-api:Invoke"`
			if strings.Contains(in.AuthorizationToken, "refresh") {
				actions = `"execute-api:*"`
			}
			return Result{Payload: []byte(`{"principalId":"` + strings.TrimPrefix(in.AuthorizationToken, "another ") + `","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}]}}`)}, nil
		}
		if answer == "" {
			return Result{Payload: []byte(`{"statusCode":200,"body":"` + strconv.FormatInt(n.Add(1), 10) + `"}`)}, nil
		}
		return Result{Payload: []byte(strings.ReplaceAll(answer, "N", strconv.FormatInt(n.Add(1), 10)))}, nil
	}
	return n
}

// TestCache_keys: which requests share an answer, and which do not.
func TestCache_keys(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.counting("")
	k.publish(caching("http://localhost:1", nil))
	k.PublishPlans(PlanSet{Plans: map[string]Plan{"p": {Stages: map[string]PlanStage{apiID + "/api": {}}}},
		Keys: map[KeyHash]Key{k.HashKey("one"): {ID: "k1", Enabled: true, Plans: []string{"p"}}, k.HashKey("two"): {ID: "k2", Enabled: true, Plans: []string{"p"}}}})
	ann, bob := "Bearer "+k.id(nil), "Bearer "+k.id(map[string]any{"sub": "sub-2"})
	iam := func(key string) *http.Request {
		return signed(request("GET", "/me"), key, map[string]string{"ASIAMEMBER": "member-session", "ASIAGUEST": "guest-session"}[key], region, noon)
	}
	k.auth.docs["ASIAGUEST"] = k.auth.docs["ASIAMEMBER"]
	type pair struct {
		a, b   *http.Request
		shared bool
	}
	for name, p := range map[string]pair{
		"the same":                       {request("GET", "/page"), request("GET", "/page"), true},
		"a query that is no key":         {request("GET", "/page?a=1"), request("GET", "/page?a=2"), true},
		"a path that is a key":           {request("GET", "/page/1"), request("GET", "/page/2"), false},
		"one path":                       {request("GET", "/page/1"), request("GET", "/page/1"), true},
		"a query that is a key":          {request("GET", "/page/1?q=1"), request("GET", "/page/1?q=2"), false},
		"a key beside another":           {request("GET", "/page/1?q=1&z=1"), request("GET", "/page/1?q=1&z=2"), true},
		"an escaped key":                 {request("GET", "/page/1?q=A"), request("GET", "/page/1?%71=%41"), true},
		"a key given twice":              {request("GET", "/page/1?q=1"), request("GET", "/page/1?q=2&q=1"), false},
		"an empty key and none":          {request("GET", "/page/1?q="), request("GET", "/page/1"), false},
		"a header that is a key":         {request("GET", "/page/1", "X-Lang", "de"), request("GET", "/page/1", "X-Lang", "en"), false},
		"a header in another case":       {request("GET", "/page/1", "X-Lang", "de"), request("GET", "/page/1", "x-lang", "de"), true},
		"keys that join alike":           {request("GET", "/page/1?q=xde", "X-Lang", "y"), request("GET", "/page/1?q=xd", "X-Lang", "ey"), false},
		"an encoding the function sees":  {request("GET", "/page", "Accept-Encoding", "gzip"), request("GET", "/page", "Accept-Encoding", "br"), false},
		"a token of somebody else":       {request("GET", "/courses", "Authorization", ann), request("GET", "/courses", "Authorization", bob), false},
		"the same token":                 {request("GET", "/courses", "Authorization", ann), request("GET", "/courses", "Authorization", ann), true},
		"a signature of somebody else":   {iam("ASIAMEMBER"), iam("ASIAGUEST"), false},
		"the same signer":                {iam("ASIAMEMBER"), iam("ASIAMEMBER"), true},
		"a principal of an authorizer":   {request("GET", "/custom", "Authorization", "ann"), request("GET", "/custom", "Authorization", "bob"), false},
		"one principal, two tokens":      {request("GET", "/custom", "Authorization", "ann"), request("GET", "/custom", "Authorization", "another ann"), false},
		"the same principal":             {request("GET", "/custom", "Authorization", "ann"), request("GET", "/custom", "Authorization", "ann"), true},
		"an API key of somebody else":    {request("GET", "/catalog", "X-Api-Key", "one"), request("GET", "/catalog", "X-Api-Key", "two"), false},
		"the same API key":               {request("GET", "/catalog", "X-Api-Key", "one"), request("GET", "/catalog", "X-Api-Key", "one"), true},
		"a cookie":                       {request("GET", "/page", "Cookie", "s=1"), request("GET", "/page", "Cookie", "s=1"), false},
		"no cookie after one":            {request("GET", "/page", "Cookie", "s=1"), request("GET", "/page"), false},
		"an Authorization that is open":  {request("GET", "/page", "Authorization", "Basic x"), request("GET", "/page", "Authorization", "Basic x"), false},
		"a token and a cookie":           {request("GET", "/courses", "Authorization", ann, "Cookie", "s=1"), request("GET", "/courses", "Authorization", ann, "Cookie", "s=1"), false},
		"a POST is not GET":              {post("/page", "", ""), post("/page", "", ""), false},
		"an ANY method is not GET":       {request("GET", "/open"), request("GET", "/open"), false},
		"a request for another resource": {request("GET", "/page"), request("GET", "/page/1"), false},
	} {
		k.publish(caching("http://localhost:1", func(d *Definition) { d.Cache.Epoch = time.Now().UnixNano() }))
		a, b := k.serve(p.a), k.serve(p.b)
		if a.Code != 200 || b.Code != 200 {
			t.Errorf("%s: status %d, %d: %s", name, a.Code, b.Code, k.last().Grounds)
		} else if shared := a.Body.String() == b.Body.String(); shared != p.shared {
			t.Errorf("%s: answers %s and %s", name, a.Body, b.Body)
		}
	}
}

// TestCache_settings: what a stage has to say for a method to be cached, and for how long.
func TestCache_settings(t *testing.T) {
	t.Parallel()
	set := func(at string, c CacheSettings) func(d *Definition) {
		return func(d *Definition) { d.Settings[at] = MethodSettings{Cache: c} }
	}
	for name, c := range map[string]struct {
		change func(d *Definition)
		verb   string
		path   string
		shared bool
	}{
		"all":                    {nil, "GET", "/page", true},
		"no cache":               {func(d *Definition) { d.Cache = nil }, "GET", "/page", false},
		"switched off":           {set("*/*", CacheSettings{TTL: time.Hour}), "GET", "/page", false},
		"no lifetime":            {set("*/*", CacheSettings{Enabled: true}), "GET", "/page", false},
		"switched off for one":   {set("/page/GET", CacheSettings{}), "GET", "/page", false},
		"off for another":        {set("/open/GET", CacheSettings{}), "GET", "/page", true},
		"escaped":                {set("~1page/GET", CacheSettings{}), "GET", "/page", false},
		"POST of its own":        {set("/page/POST", forever), "POST", "/page", true},
		"ANY of its own, GET":    {set("/open/ANY", forever), "GET", "/open", true},
		"ANY of its own, HEAD":   {set("/open/ANY", forever), "HEAD", "/open", true},
		"ANY of its own, DELETE": {set("/open/ANY", forever), "DELETE", "/open", true},
		"POST by all":            {nil, "POST", "/page", false},
		"encrypted": {func(d *Definition) {
			d.Settings["*/*"] = MethodSettings{Cache: CacheSettings{Enabled: true, TTL: time.Minute, Encrypted: true}}
		}, "GET", "/page", true},
	} {
		k := newKit(t)
		n := k.counting(`{"statusCode":200,"headers":{"X-A":"b"},"body":"N"}`)
		k.publish(caching("http://localhost:1", c.change))
		a, b := k.serve(request(c.verb, c.path)), k.serve(request(c.verb, c.path))
		if shared := n.Load() == 1; shared != c.shared || a.Header().Get("X-A") != "b" || b.Header().Get("X-A") != "b" || a.Code != 200 || b.Code != 200 {
			t.Errorf("%s: %d calls; %v %v", name, n.Load(), a.Result(), b.Result())
		}
		if id := a.Header()["x-amzn-RequestId"][0]; id == b.Header()["x-amzn-RequestId"][0] {
			t.Errorf("%s: the request id was kept", name)
		}
	}
	k := newKit(t)
	n := k.counting("")
	k.publish(caching("http://localhost:1", nil))
	k.serve(request("GET", "/page"))
	k.clock.add(5*time.Minute - 1)
	k.serve(request("GET", "/page"))
	if n.Load() != 1 {
		t.Errorf("before the end: %d calls", n.Load())
	}
	k.clock.add(1)
	k.serve(request("GET", "/page"))
	if n.Load() != 2 {
		t.Errorf("after the end: %d calls", n.Load())
	}
	for _, body := range []string{"1", "2"} { // a POST is told apart by what it asks, too
		k.publish(caching("http://localhost:1", set("/page/POST", forever)))
		k.serve(post("/page", "", body))
	}
	if n.Load() != 4 {
		t.Errorf("two bodies: %d calls", n.Load())
	}
}

// TestCache_answers: which answers are kept.
func TestCache_answers(t *testing.T) {
	t.Parallel()
	for answer, keep := range map[string]bool{
		`{"statusCode":200,"body":"N"}`:                                                  true,
		`{"statusCode":204,"body":""}`:                                                   true,
		`{"statusCode":301,"headers":{"Location":"/N"}}`:                                 true,
		`{"statusCode":206,"body":"N"}`:                                                  false,
		`{"statusCode":304,"body":""}`:                                                   false,
		`{"statusCode":400,"body":"N"}`:                                                  false,
		`{"statusCode":404,"body":"N"}`:                                                  false,
		`{"statusCode":503,"body":"N"}`:                                                  false,
		`{"nonsense":"N"}`:                                                               false,
		`{"statusCode":200,"headers":{"Set-Cookie":"a=N"},"body":"N"}`:                   false,
		`{"statusCode":200,"headers":{"cache-control":"max-age=9, Private"},"body":"N"}`: false,
		`{"statusCode":200,"headers":{"cache-control":"no-store"},"body":"N"}`:           false,
		`{"statusCode":200,"headers":{"cache-control":"max-age=9"},"body":"N"}`:          true,
		`{"statusCode":200,"headers":{"Vary":"*"},"body":"N"}`:                           false,
		`{"statusCode":200,"headers":{"Vary":"Accept-Encoding, Origin"},"body":"N"}`:     false,
		`{"statusCode":200,"headers":{"Vary":"accept-encoding"},"body":"N"}`:             true,
		`{"statusCode":200,"body":"` + strings.Repeat("x", maxCached+1) + `"}`:           false,
		`{"statusCode":200,"body":"aGk=","isBase64Encoded":true,"headers":{"X-N":"N"}}`:  true,
	} {
		k := newKit(t)
		n := k.counting(answer)
		k.publish(caching("http://localhost:1", func(d *Definition) { d.Cache.Bytes = 8 << 20 }))
		k.serve(request("GET", "/page"))
		k.serve(request("GET", "/page"))
		if kept := n.Load() == 1; kept != keep {
			t.Errorf("%.80s: %d calls", answer, n.Load())
		}
	}
}

// TestCache_streams: an upstream's answer is kept once it is whole.
func TestCache_streams(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		switch r.URL.Path {
		case "/base/broken":
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("short"))
		case "/base/large":
			w.Write(bytes.Repeat([]byte("x"), maxCached+1))
		default:
			w.Header().Set("X-Up", "1")
			fmt.Fprint(w, "part one,")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, " part two of "+r.URL.Path)
		}
	}))
	defer up.Close()
	k := newKit(t)
	k.publish(caching(up.URL, func(d *Definition) {
		d.Routes = append(d.Routes, Route{Path: "/up/{id}", Method: "GET", ResourceID: "u1", AuthorizationType: "NONE",
			Integration: with(Integration{Type: "HTTP_PROXY", URI: up.URL + "/base/{id}"}, "method.request.path.id")})
	}))
	for path, calls := range map[string]int64{"/up/whole": 1, "/up/large": 2, "/up/other": 1} {
		n.Store(0)
		a, b := k.serve(request("GET", path)), k.serve(request("GET", path))
		if n.Load() != calls || a.Body.String() != b.Body.String() || a.Header().Get("X-Up") != b.Header().Get("X-Up") {
			t.Errorf("%s: %d calls, %.30s and %.30s", path, n.Load(), a.Body, b.Body)
		}
	}
	n.Store(0)
	for range 2 {
		func() {
			defer func() { recover() }()
			k.serve(request("GET", "/up/broken"))
		}()
	}
	if n.Load() != 2 {
		t.Errorf("a broken answer was kept: %d calls", n.Load())
	}
}

// TestCache_invalidate: who may have a fresh answer, and what becomes of who may not.
func TestCache_invalidate(t *testing.T) {
	t.Parallel()
	const fail, tell = "FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER"
	invalidate := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["execute-api:Invoke","execute-api:InvalidateCache"],"Resource":"execute-api:/*"}]}`
	invoke := strings.ReplaceAll(invalidate, `,"execute-api:InvalidateCache"`, "")
	iam := func() *http.Request {
		r := request("GET", "/me", "Cache-Control", "max-age=0")
		return signed(r, "ASIAMEMBER", "member-session", region, noon)
	}
	asking := func(path string, more ...string) func() *http.Request {
		return func() *http.Request {
			return request("GET", path, append(more, "Cache-Control", "no-transform, MAX-AGE=0")...)
		}
	}
	for name, c := range map[string]struct {
		open     bool
		strategy string
		policy   string
		allowed  string // what the signer may do
		ask      func() *http.Request
		status   int
		fresh    bool
		warned   bool
	}{
		"nobody is asked":             {open: true, ask: asking("/page"), status: 200, fresh: true},
		"open route":                  {strategy: tell, ask: asking("/page"), status: 200, warned: true},
		"open route, silently":        {strategy: "SUCCEED_WITHOUT_RESPONSE_HEADER", ask: asking("/page"), status: 200},
		"open route, refused":         {strategy: fail, ask: asking("/page"), status: 403},
		"the resource policy":         {strategy: fail, policy: invalidate, ask: asking("/page"), status: 200, fresh: true},
		"not by the resource policy":  {strategy: fail, policy: invoke, ask: asking("/page"), status: 403},
		"a signer who may":            {strategy: fail, allowed: "execute-api:InvalidateCache", ask: iam, status: 200, fresh: true},
		"a signer who may not":        {strategy: fail, allowed: "execute-api:ManageConnections", ask: iam, status: 403},
		"an authorizer that lets":     {strategy: fail, ask: asking("/custom", "Authorization", "refresh"), status: 200, fresh: true},
		"an authorizer that does not": {strategy: fail, ask: asking("/custom", "Authorization", "ann"), status: 403},
		"another directive":           {strategy: fail, ask: func() *http.Request { return request("GET", "/page", "Cache-Control", "max-age=00, no-cache") }, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.counting("")
			if c.allowed != "" {
				k.auth.docs["ASIAMEMBER"] = append(k.auth.docs["ASIAMEMBER"], document(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"`+c.allowed+`","Resource":"*"}]}`))
			}
			k.publish(caching("http://localhost:1", func(d *Definition) {
				s := forever
				s.Open, s.Unauthorized = c.open, c.strategy
				d.Settings["*/*"] = MethodSettings{Cache: s}
				d.Policy = json.RawMessage(c.policy)
			}))
			plain := c.ask()
			plain.Header.Del("Cache-Control")
			if plain.URL.Path == "/api/me" {
				plain = signed(request("GET", "/me"), "ASIAMEMBER", "member-session", region, noon)
			}
			first := k.serve(plain).Body.String()
			w := k.serve(c.ask())
			if w.Code != c.status || w.Code == 200 && (w.Body.String() != first) != c.fresh || (w.Header().Get("Warning") != "") != c.warned {
				t.Fatalf("status %d, %s after %s, Warning %q; %s", w.Code, w.Body, first, w.Header().Get("Warning"), k.last().Grounds)
			}
			if c.fresh { // and the fresh answer replaces the one before
				plain := c.ask()
				plain.Header.Del("Cache-Control")
				if plain.URL.Path == "/api/me" {
					plain = signed(request("GET", "/me"), "ASIAMEMBER", "member-session", region, noon)
				}
				if again := k.serve(plain).Body.String(); again != w.Body.String() {
					t.Errorf("afterwards %s, want %s", again, w.Body)
				}
			}
		})
	}
}

// TestCache_authorises: a cached answer is no way around what decides.
func TestCache_authorises(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.counting("")
	k.publish(caching("http://localhost:1", nil))
	token := "Bearer " + k.id(map[string]any{"exp": noon.Add(time.Minute).Unix()})
	if w := k.serve(request("GET", "/courses", "Authorization", token)); w.Code != 200 {
		t.Fatal(w.Code)
	}
	if w := k.serve(request("GET", "/courses")); w.Code != 401 {
		t.Errorf("without a token: %d", w.Code)
	}
	k.clock.add(2 * time.Minute)
	if w := k.serve(request("GET", "/courses", "Authorization", token)); w.Code != 401 {
		t.Errorf("with a token that has expired: %d", w.Code)
	}
}

// TestCache_publish: what is served changes with the stage, and a flush empties it.
func TestCache_publish(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	n := k.counting("")
	for i, c := range []struct {
		change func(d *Definition)
		calls  int64
	}{
		{nil, 1}, {nil, 1},
		{func(d *Definition) { d.Settings["/page/POST"] = MethodSettings{Cache: forever} }, 1},
		{func(d *Definition) { d.Cache.Epoch = 1 }, 2},
		{func(d *Definition) { d.DeploymentID = "new" }, 3},
		{func(d *Definition) { d.Variables = map[string]string{"color": "red"} }, 4},
		{func(d *Definition) { d.Cache.Bytes = 2 << 20 }, 5},
	} {
		k.publish(caching("http://localhost:1", c.change))
		k.serve(request("GET", "/page"))
		if n.Load() != c.calls {
			t.Errorf("%d: %d calls, want %d", i, n.Load(), c.calls)
		}
	}
}

// TestCache_peers: with mutual TLS an answer belongs to the certificate that asked.
func TestCache_peers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	n := k.counting("")
	k.publish(caching("http://localhost:1", nil))
	next := exchange("/page")
	for i, c := range []struct {
		cert  string
		calls int64
	}{{"ann", 1}, {"bob", 2}, {"ann", 2}, {"", 3}, {"bob", 3}} {
		x := next()
		if x.Via = (&Via{Domain: &Domain{Name: "api.example.com"}, Base: "/v1"}); c.cert != "" {
			x.Via.Peer = &x509.Certificate{Raw: []byte(c.cert), SerialNumber: big.NewInt(1)}
		}
		if k.Serve(x); n.Load() != c.calls {
			t.Errorf("%d: %d calls, want %d", i, n.Load(), c.calls)
		}
	}
}

// TestFlushAuthorizers: what an authorizer said is forgotten with the stage's epoch.
func TestFlushAuthorizers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.counting("")
	for i, c := range []struct {
		epoch int64
		calls int
	}{{0, 1}, {0, 1}, {1, 2}, {1, 2}} {
		k.publish(caching("http://localhost:1", func(d *Definition) {
			d.Cache, d.AuthorizerEpoch = nil, c.epoch
			a := d.Authorizers["fn"]
			a.TTL = time.Hour
			d.Authorizers["fn"] = a
		}))
		k.serve(request("GET", "/custom", "Authorization", "ann"))
		asked := 0
		for _, inv := range k.invoker.calls {
			if strings.HasSuffix(inv.FunctionARN, ":authorizer") {
				asked++
			}
		}
		if asked != c.calls {
			t.Errorf("%d: the authorizer was asked %d times, want %d", i, asked, c.calls)
		}
	}
}

func TestCompile_cacheParameters(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"method.request.querystring.q": true, "method.request.path.id": true, "method.request.header.X": true, "method.request.multivaluequerystring.q": true,
		"integration.request.header.Y": true, "integration.request.header.Z": false,
		"method.request.body": false, "context.stage": false, "'x'": false, "": false, "q": false,
	} {
		d := caching("http://localhost:1", func(d *Definition) {
			d.Routes = append(d.Routes, Route{Path: "/up/{id}", Method: "GET", ResourceID: "u1", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", URI: "http://localhost/{id}",
				RequestParameters: map[string]string{"integration.request.header.Y": "method.request.querystring.y"}, CacheKeyParameters: []string{text}}})
		})
		if _, err := Compile(d); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestAnswerCache holds the store to its bound and to what it was given, with readers beside the writers.
func TestAnswerCache(t *testing.T) {
	t.Parallel()
	c := newAnswerCache(64<<10, rand.Reader)
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 3000 {
				key := []byte("key " + strconv.Itoa(i%400))
				if e := c.get(key, noon); e != nil {
					var r reply
					if !c.open(e, &r) || string(r.body) != "body of "+string(key) || r.fields[0].Value != string(key) {
						t.Errorf("%s: %v %q", key, r.fields, r.body)
					}
				} else {
					r := &reply{status: 200, fields: []Field{{"A", string(key)}}}
					c.put(key, r, []byte("body of "+string(key)), (i+g)%2 == 0, noon.Add(time.Minute), noon)
				}
			}
		})
	}
	group.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var size int64
	for i := range c.buckets {
		for e := c.buckets[i].Load(); e != nil; e = e.next.Load() {
			size += e.cost()
		}
	}
	if size != c.size || size > c.max || size < c.max/2 {
		t.Errorf("holds %d bytes, counts %d of %d", size, c.size, c.max)
	}
}

func TestAnswerCache_order(t *testing.T) {
	t.Parallel()
	c := newAnswerCache(10*(keptOverhead+1002), rand.Reader)
	put := func(name string) {
		c.put([]byte(name), &reply{status: 200}, make([]byte, 1000), false, noon.Add(time.Minute), noon)
	}
	for i := range 10 {
		put("k" + strconv.Itoa(i))
	}
	c.get([]byte("k0"), noon)
	put("ka")
	put("kb")
	for name, there := range map[string]bool{"k0": true, "k1": false, "k2": false, "k3": true, "kb": true} {
		if (c.get([]byte(name), noon) != nil) != there {
			t.Errorf("%s: there is %v", name, !there)
		}
	}
	c.put([]byte("kc"), &reply{status: 200}, make([]byte, 20000), false, noon.Add(time.Minute), noon)
	if c.get([]byte("kc"), noon) != nil || c.get([]byte("kb"), noon) == nil {
		t.Error("what does not fit drove others out")
	}
	sealed := newAnswerCache(1<<20, rand.Reader)
	sealed.put([]byte("s"), &reply{status: 200, fields: []Field{{"X", "secret"}}}, []byte("secret"), true, noon.Add(time.Minute), noon)
	e := sealed.get([]byte("s"), noon)
	if e == nil || bytes.Contains(e.body, []byte("secret")) || len(e.fields) != 0 {
		t.Error("an entry is readable that should be encrypted")
	}
	e.body[len(e.body)-1] ^= 1
	if sealed.open(e, new(reply)) {
		t.Error("an altered entry was read")
	}
}

// TestCacheHit_allocations: a hit costs nothing beyond the answer.
func TestCacheHit_allocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	k := newKit(t)
	k.cfg.Record = func(wire.Record) {}
	k.counting("")
	k.publish(caching("http://localhost:1", nil))
	for name, next := range map[string]func() *Exchange{
		"plain": exchange("/page"), "keys": exchange("/page/7", Field{"X-Lang", "de"}), "token": exchange("/courses", Field{"Authorization", "Bearer " + k.id(nil)}),
	} {
		x := next()
		x.RawQuery = "a=b&q=1"
		k.Serve(x)
		n := testing.AllocsPerRun(200, func() {
			x := next()
			x.RawQuery = "a=b&q=1"
			k.Serve(x)
			if x.cache != cacheHit {
				t.Fatal("no hit")
			}
		})
		base := testing.AllocsPerRun(200, func() { x := next(); x.g = k.Gateway; x.identify(); x.trace() })
		if n > base {
			t.Errorf("%s: %v allocations, of which %v are the ids'", name, n, base)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	k := newKit(b)
	k.cfg.Record = func(wire.Record) {}
	k.counting("")
	k.publish(caching("http://localhost:1", nil))
	next := exchange("/page/7", Field{"X-Lang", "de"})
	k.Serve(next())
	b.ReportAllocs()
	for b.Loop() {
		k.Serve(next())
	}
}
