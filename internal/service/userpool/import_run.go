package userpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// importPause is how often a node looks for jobs that another one was asked to start, and
// for those that were interrupted.
const importPause = 10 * time.Second

func (s *Service) wakeImports() {
	select {
	case s.started <- struct{}{}:
	default: // somebody else woke it
	}
}

// runImports carries out import jobs, the one that was started first first, until ctx ends.
func (s *Service) runImports(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.started:
		case <-timer.C:
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.importStep(ctx); err != nil {
				more = false
				if ctx.Err() == nil {
					s.log.Error("importing users", "error", err)
				}
			}
		}
		timer.Reset(importPause)
	}
}

// importStep does one part of the oldest active job. The users of a part, the job's
// counts and the removal of the part are one transaction: after a crash, and on however
// many nodes, no line counts twice. more says that there was a job.
func (s *Service) importStep(ctx context.Context) (more bool, err error) {
	var p Pool
	var j ImportJob
	var lines []string
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		more, lines = false, nil
		list, err := s.tables.imports.List(tx, store.Query{Index: "active", Values: []string{"active"}, Limit: 1})
		if err != nil || len(list) == 0 {
			return err
		}
		more, j = true, list[0]
		if p, err = s.pool(tx, j.Pool); err != nil {
			return err
		}
		lines, err = s.importNext(tx, &p, &j)
		if err != nil {
			return err
		}
		return s.tables.imports.Put(tx, j)
	})
	if err == nil && more {
		s.logImport(ctx, &p, &j, lines)
	}
	return more, err
}

// importNext does the next part of a job and returns what to write to its log.
func (s *Service) importNext(tx *store.Tx, p *Pool, j *ImportJob) (log []string, err error) {
	if j.Status == string(api.UserImportJobStatusTypeStopping) {
		return nil, s.endImport(tx, j, api.UserImportJobStatusTypeStopped, importStopped)
	}
	j.Status = string(api.UserImportJobStatusTypeInProgress)
	part, err := s.tables.parts.Take(tx, j.Pool, j.ID, j.Upload, partSeq(j.Next))
	if errors.Is(err, store.ErrNotFound) { // it was there: a part lives longer than a job can wait
		return nil, s.endImport(tx, j, api.UserImportJobStatusTypeFailed, importNoCSV)
	}
	if err != nil {
		return nil, err
	}
	rows := part.Lines
	if j.Next == 0 {
		var ok bool
		if len(rows) > 0 {
			j.Columns, ok = p.columns(rows[0])
		}
		if !ok {
			return nil, s.endImport(tx, j, api.UserImportJobStatusTypeFailed, importNoCSV)
		}
	}
	for i, row := range rows {
		if number := part.First + i; number > 1 && strings.TrimSpace(row) != "" {
			r, err := s.importRow(tx, p, j.Columns, row)
			if err != nil {
				return nil, err
			}
			j.count(r)
			log = append(log, fmt.Sprintf("[%s] Line Number %d - %s", r.kind, number, r.text))
		}
	}
	if j.Next++; j.Next < j.Parts {
		return log, nil
	}
	if j.Imported == 0 {
		return log, s.endImport(tx, j, api.UserImportJobStatusTypeFailed, importHopeless)
	}
	return log, s.endImport(tx, j, api.UserImportJobStatusTypeSucceeded, importSucceeded)
}

func (j *ImportJob) count(r rowResult) {
	switch r.kind {
	case rowSucceeded:
		j.Imported++
	case rowSkipped:
		j.Skipped++
	default:
		j.Failed++
	}
}

// endImport ends a job; its file goes.
func (s *Service) endImport(tx *store.Tx, j *ImportJob, status api.UserImportJobStatusType, message string) error {
	j.Status, j.Message, j.CompletedAt = string(status), message, s.time()
	return s.dropParts(tx, j, j.Upload)
}

var notInLogName = lazyregexp.New(`[^a-zA-Z0-9._/#-]`)

// logImport writes results where AWS writes them. They name lines, never people. The log
// follows the commit: what a crash keeps from it is still counted in the job.
func (s *Service) logImport(ctx context.Context, p *Pool, j *ImportJob, lines []string) {
	if s.appendLog == nil || len(lines) == 0 {
		return
	}
	times := make([]time.Time, len(lines))
	for i := range times {
		times[i] = s.time()
	}
	group := "/aws/cognito/userpools/" + p.ID + "/" + notInLogName.ReplaceAllString(p.Name, "-")
	stream := j.ID + "/" + notInLogName.ReplaceAllString(j.Name, "-")
	if err := s.appendLog(ctx, p.Region, group, stream, times, lines); err != nil {
		s.log.Error("the results of an import were not logged", "pool", p.ID, "job", j.ID, "error", err)
	}
}
