package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A request of many parameters or fields costs about as much per parameter as one of few: an event
// of it, a template that looks for one, a cache key.
func TestManyParameters(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	template := map[string]string{"application/json": `#foreach($i in [1..1000])$!input.params("a$i")#end{"statusCode":200}`}
	d.Routes = append(d.Routes,
		Route{Path: "/template", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "MOCK", RequestTemplates: template, Responses: []IntegrationResponse{{StatusCode: "200"}}}},
		Route{Path: "/many", Method: "GET", AuthorizationType: "NONE", Integration: proxy("many")})
	k.publish(d)
	var query strings.Builder
	const n = 12000
	for i := range n {
		fmt.Fprintf(&query, "%x&", i)
	}
	k.invoker.f = func(inv Invocation) (Result, error) {
		var event struct {
			Last map[string]string   `json:"queryStringParameters"`
			All  map[string][]string `json:"multiValueQueryStringParameters"`
		}
		if err := json.Unmarshal(inv.Payload, &event); err != nil || len(event.Last) != n || len(event.All) != n {
			t.Errorf("%d and %d parameters, %v", len(event.Last), len(event.All), err)
		}
		return Result{Payload: []byte(`{"body":""}`)}, nil
	}
	for path, most := range map[string]time.Duration{"/many": 2 * time.Second, "/template": 4 * time.Second} {
		r := request("GET", path+"?"+query.String())
		began := time.Now()
		w := httptest.NewRecorder()
		k.ServeAPI(w, r, apiID, "api", path) // net/http takes 64 KB of them
		if d := time.Since(began); d > most || w.Code != http.StatusOK && path == "/many" {
			t.Errorf("%s: %d after %v", path, w.Code, d)
		}
	}
}

// An event groups many values of one name as it groups few.
func TestAppendPairs(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, manyPairs, manyPairs + 1, 200} {
		var all []pair
		last, lists := map[string]string{}, map[string][]string{}
		for i := range n {
			name := string(rune('A' + i%7))
			if i%2 == 1 {
				name = strings.ToLower(name)
			}
			all = append(all, pair{name, fmt.Sprint(i)})
			last[name] = fmt.Sprint(i)
			lists[name] = append(lists[name], fmt.Sprint(i))
		}
		var gotLast map[string]string
		var gotLists map[string][]string
		if json.Unmarshal(appendPairs(nil, all, true, same), &gotLast) != nil || json.Unmarshal(appendPairs(nil, all, false, same), &gotLists) != nil ||
			fmt.Sprint(gotLast) != fmt.Sprint(last) || fmt.Sprint(gotLists) != fmt.Sprint(lists) {
			t.Errorf("%d: got %v %v, want %v %v", n, gotLast, gotLists, last, lists)
		}
		if err := json.Unmarshal(appendPairs(nil, all, false, strings.EqualFold), &gotLists); err != nil {
			t.Fatal(err)
		}
		folded := map[string][]string{}
		if err := json.Unmarshal(appendPairs(nil, all, false, strings.EqualFold), &folded); err != nil || len(folded) != min(n, 7) {
			t.Errorf("%d: %d names, %v", n, len(folded), err)
		}
	}
}
