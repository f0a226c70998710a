// cfn-response: a function that backs a custom resource of a stack tells the stack how it
// went ("Custom resources", the cfn-response module).
'use strict';

exports.SUCCESS = 'SUCCESS';
exports.FAILED = 'FAILED';

exports.send = function (event, context, status, data, physicalResourceId, noEcho) {
  const body = JSON.stringify({
    Status: status,
    Reason: 'See the details in CloudWatch Log Stream: ' + context.logStreamName,
    PhysicalResourceId: physicalResourceId || context.logStreamName,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
    NoEcho: noEcho || false,
    Data: data,
  });
  const url = new URL(event.ResponseURL);
  const client = require(url.protocol === 'http:' ? 'http' : 'https');
  const headers = { 'content-type': '', 'content-length': Buffer.byteLength(body) };
  const request = client.request(url, { method: 'PUT', headers }, (response) => {
    response.resume();
    console.log('Status code: ' + response.statusCode);
    context.done();
  });
  request.on('error', (error) => {
    console.log('The answer to the stack could not be sent: ' + error);
    context.done();
  });
  request.end(body);
};
