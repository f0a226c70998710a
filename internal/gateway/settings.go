package gateway

import (
	"strings"
	"time"
)

// MethodSettings are a stage's settings of one method, or of all that have none of their own.
type MethodSettings struct {
	Cache CacheSettings
	// Logging says what the execution log tells: OFF (or empty), ERROR or INFO.
	// DataTrace adds the bodies.
	Logging   string
	DataTrace bool
	// Metrics counts the method by itself, too.
	Metrics bool
}

// CacheSettings say whether and how a method's answers are kept in the stage's cache.
type CacheSettings struct {
	Enabled   bool
	TTL       time.Duration
	Encrypted bool
	// Unauthorized is what becomes of a caller who asks for a fresh answer (Cache-Control:
	// max-age=0) and may not: FAIL_WITH_403, SUCCEED_WITH_RESPONSE_HEADER or
	// SUCCEED_WITHOUT_RESPONSE_HEADER. Everybody may where Open is set.
	Open         bool
	Unauthorized string
}

// settingKey brings the names of method settings to one form: a resource path may be
// escaped as patch paths are ("~1path/GET"), the root's is "//GET".
func settingKey(name string) string {
	return "/" + strings.TrimLeft(strings.ReplaceAll(name, "~1", "/"), "/")
}

// perMethod finds what a stage says of a route: its own entry, or that of "*/*". own tells which.
func perMethod[T any](in map[string]T, rt *route) (value T, own, ok bool) {
	all, one := settingKey("*/*"), settingKey(rt.limitKey)
	for name, v := range in {
		switch settingKey(name) {
		case one:
			return v, true, true
		case all:
			value, ok = v, true
		}
	}
	return value, false, ok
}

// compileSettings gives each route its settings.
func (s *Snapshot) compileSettings() error {
	for name := range s.def.Settings {
		if name != "*/*" && !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "~1") {
			return &DefinitionError{"Invalid method setting path: " + name}
		}
	}
	for _, rt := range s.routes {
		set, own, ok := perMethod(s.def.Settings, rt)
		if !ok {
			continue
		}
		rt.settings = set
		if err := s.compileCache(rt, set.Cache, own); err != nil {
			return err
		}
	}
	return nil
}
