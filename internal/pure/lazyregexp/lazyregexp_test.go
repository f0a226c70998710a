package lazyregexp

import (
	"strings"
	"sync"
	"testing"
)

func TestRegexp(t *testing.T) {
	t.Parallel()
	r := New(`a(b+)c`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if !r.MatchString("xabbc") || r.MatchString("ac") {
				t.Error("it does not match as it should")
			}
		})
	}
	all.Wait()
	if got := r.FindStringSubmatch("abbc"); len(got) != 2 || got[1] != "bb" {
		t.Errorf("got %q", got)
	}
	if got := r.FindSubmatch([]byte("abc")); len(got) != 2 || string(got[1]) != "b" {
		t.Errorf("got %q", got)
	}
	if got := r.FindAllStringSubmatch("abc abbc", -1); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if got := r.FindString("xabc"); got != "abc" {
		t.Errorf("got %q", got)
	}
	if got := r.ReplaceAllString("abc", "<$1>") + r.ReplaceAllStringFunc("abc", strings.ToUpper); got != "<b>ABC" {
		t.Errorf("got %q", got)
	}
}

func TestNew_WrongExpression(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression was used")
		}
	}()
	New(`(`).MatchString("")
}
