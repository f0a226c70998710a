package main

import (
	"fmt"
	"os"
	"path/filepath"

	"moat/internal/pure/policy"
)

// readGuardrails reads service control policies. A value may name several files, separated as in
// PATH, so that MOAT_GUARDRAIL can as well. A file that is no such policy ends the start: a
// guardrail that is not understood must not be one that is not there.
func readGuardrails(values []string) ([]*policy.Document, error) {
	var out []*policy.Document
	for _, v := range values {
		for _, file := range filepath.SplitList(v) {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, usagef("--guardrail: %v", err)
			}
			d, err := policy.Parse(filepath.Base(file), text)
			if err == nil {
				err = d.Check(policy.IdentityPolicy) // the grammar is that of identity policies: no principals
			}
			if err != nil {
				return nil, &exitError{exitUsage, fmt.Errorf("--guardrail: %s is not a service control policy: %w", file, err)}
			}
			out = append(out, d)
		}
	}
	return out, nil
}
