package main

import (
	"fmt"
	"os"
	"path/filepath"

	"moat/internal/service/iam"
)

// readGuardrails reads service control policies. A value may name several files, separated as in
// PATH, so that MOAT_GUARDRAIL can as well. A file that is no such policy ends the start: a
// guardrail that is not understood must not be one that is not there.
func readGuardrails(values []string) ([]iam.Guardrail, error) {
	var out []iam.Guardrail
	for _, v := range values {
		for _, file := range filepath.SplitList(v) {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, usagef("--guardrail: %v", err)
			}
			g := iam.Guardrail{Name: filepath.Base(file), Text: string(text)}
			_, err = g.Compile()
			if err != nil {
				return nil, &exitError{exitUsage, fmt.Errorf("--guardrail: %s is not a service control policy: %w", file, err)}
			}
			out = append(out, g)
		}
	}
	return out, nil
}
