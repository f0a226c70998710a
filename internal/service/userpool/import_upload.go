package userpool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"moat/internal/store"
	"moat/internal/wire"
)

// ImportPath begins the paths at which ServeImport answers.
const ImportPath = "/_moat/import/"

const (
	// What a file may hold (developer guide, "Formatting the CSV file").
	maxImportBytes = 100 << 20
	maxImportRows  = 500_000
	maxImportLine  = 16_000 // characters

	// importPart is how many lines are imported in one transaction: few, so that nobody
	// who signs in meanwhile waits for it.
	importPart = 50
)

// importTicket is what the address of an upload says. It is sealed.
type importTicket struct{ Pool, Job string }

// importAddress is where a job's file goes: whoever has the address may upload once.
func (s *Service) importAddress(j *ImportJob) (string, error) {
	text, err := s.sealJSON(sealImport, importTicket{j.Pool, j.ID})
	return s.baseURL + ImportPath + text, err
}

// ServeImport takes the file of an import job. The address alone is the permission, as a
// presigned one of S3 is; it is used up by the first upload that arrives whole.
func (s *Service) ServeImport(w http.ResponseWriter, r *http.Request) {
	started := s.now()
	status, pool, why := s.upload(w, r)
	if status == http.StatusOK {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
	} else {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPut)
		}
		writeJSON(w, status, map[string]string{"message": why})
	}
	id, err := s.uuid()
	if err != nil {
		s.log.Error("no randomness for a request id", "error", err)
	}
	rec := wire.Record{
		Time: started, RequestID: id, Kind: wire.KindOAuth, Method: r.Method, Path: ImportPath, Service: "cognito-idp", Operation: "/import",
		Account: s.account, Region: regionOf(pool), Host: r.Host, UserAgent: r.UserAgent(), Status: status, Step: "encode", Latency: s.now().Sub(started),
	}
	rec.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	if status != http.StatusOK {
		rec.Step, rec.ErrorCode, rec.Grounds = "upload", http.StatusText(status), why
	}
	s.record(rec)
}

func (s *Service) upload(w http.ResponseWriter, r *http.Request) (status int, pool, why string) {
	if r.Method != http.MethodPut {
		return http.StatusMethodNotAllowed, "", "The file is uploaded with PUT."
	}
	var ticket importTicket
	if !s.unsealJSON(sealImport, strings.TrimPrefix(r.URL.Path, ImportPath), &ticket) {
		return http.StatusForbidden, "", "This address is not valid."
	}
	var j ImportJob
	err := s.db.View(r.Context(), func(tx *store.Tx) (err error) {
		j, err = s.tables.imports.Get(tx, ticket.Pool, ticket.Job)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || (err == nil && !j.uploadable(s.time())):
		return http.StatusForbidden, ticket.Pool, "This address takes no file any more."
	case err == nil:
		err = s.keepFile(r.Context(), &j, http.MaxBytesReader(w, r.Body, maxImportBytes))
	}
	var f *fault
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return http.StatusOK, ticket.Pool, ""
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, ticket.Pool, "The file is larger than 100 MB."
	case errors.As(err, &f):
		return http.StatusBadRequest, ticket.Pool, f.text
	case errors.Is(err, io.ErrUnexpectedEOF) || r.Context().Err() != nil:
		return http.StatusBadRequest, ticket.Pool, "The file did not come whole."
	}
	s.log.Error("an upload of users was not kept", "pool", ticket.Pool, "error", err)
	return http.StatusInternalServerError, ticket.Pool, "The file could not be kept."
}

// keepFile stores a file in parts and then gives it to the job, if that has none yet.
func (s *Service) keepFile(ctx context.Context, j *ImportJob, body io.Reader) error {
	id, err := s.uuid()
	if err != nil {
		return err
	}
	parts, err := s.keepParts(ctx, j, id, body)
	if err == nil {
		err = s.db.Update(ctx, func(tx *store.Tx) error {
			now, err := s.tables.imports.Get(tx, j.Pool, j.ID)
			if err != nil {
				return missing(err, notFound, "The user import job does not exist.")
			}
			if !now.uploadable(s.time()) {
				return refuse(preconditionNotMet, "This address takes no file any more.")
			}
			now.Upload, now.Parts = id, parts
			return s.tables.imports.Put(tx, now)
		})
	}
	if err == nil {
		return nil
	}
	// The request may be gone; what it left must not stay for it.
	drop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, s.db.Update(drop, func(tx *store.Tx) error { return s.dropParts(tx, j, id) }))
}

func (s *Service) dropParts(tx *store.Tx, j *ImportJob, upload string) error {
	_, err := s.tables.parts.DeleteAll(tx, j.Pool, j.ID, upload)
	return err
}

func partSeq(n int) string { return fmt.Sprintf("%06d", n) }

// keepParts reads a file line by line; nothing of it is read within a transaction.
func (s *Service) keepParts(ctx context.Context, j *ImportJob, upload string, body io.Reader) (parts int, err error) {
	in := bufio.NewReader(body)
	part := ImportPart{Pool: j.Pool, Job: j.ID, Upload: upload, First: 1, ExpiresAt: j.CreatedAt.Add(importLife + 24*time.Hour)}
	keep := func() error {
		part.Seq = partSeq(parts)
		if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.tables.parts.Insert(tx, part) }); err != nil {
			return err
		}
		parts++
		part.First, part.Lines = part.First+len(part.Lines), nil
		return nil
	}
	for number := 1; ; number++ {
		line, last, err := readLine(in)
		if err != nil {
			return parts, err
		}
		if last && line == "" {
			break
		}
		if number > maxImportRows+1 {
			return parts, refuse(invalidParameter, fmt.Sprintf("The file has more than %d users.", maxImportRows))
		}
		part.Lines = append(part.Lines, line)
		if len(part.Lines) == importPart {
			if err := keep(); err != nil {
				return parts, err
			}
		}
		if last {
			break
		}
	}
	if len(part.Lines) > 0 || parts == 0 {
		err = keep()
	}
	return parts, err
}

// readLine reads a line without its end; last says that the file ends with it.
func readLine(in *bufio.Reader) (line string, last bool, err error) {
	var b strings.Builder
	for {
		piece, err := in.ReadSlice('\n')
		b.Write(piece)
		if b.Len() > maxImportLine*utf8.UTFMax {
			return "", false, refuse(invalidParameter, fmt.Sprintf("A line of the file is longer than %d characters.", maxImportLine))
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", false, err
		}
		text := strings.TrimSuffix(strings.TrimSuffix(b.String(), "\n"), "\r")
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return "", false, refuse(invalidParameter, "The file is not text in UTF-8.")
		}
		if utf8.RuneCountInString(text) > maxImportLine {
			return "", false, refuse(invalidParameter, fmt.Sprintf("A line of the file is longer than %d characters.", maxImportLine))
		}
		return text, err != nil, nil
	}
}
