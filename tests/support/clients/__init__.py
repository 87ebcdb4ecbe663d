"""How tests call a service.

api            Google's Python client: both its clients and the operations methods over one transport
browser        a real Chromium, driven by its DevTools protocol
case_world     what the compliance cases name in braces: projects, data sets, models and operations in every state
cases          compliance cases: requests and the answers they must get, read from JSON and sent over gRPC and REST
console_page   the console in that Chromium, and what the browser complains of
console_tools  where axe-core and TypeScript are
editor_page    the console's label editor, by mouse, touch and keys
foreign_site   a site of somebody else, for browsers
fuzzing        random requests, and the one rule for every answer
half_http2    a gRPC caller that never ends its message
keyboard       a person who has only a keyboard: where the focus is, and whether it is seen
languages      programs in Java, Ruby, PHP and C#: what they need, and how they are made ready to run
node_walk      a short walk of Google's Node client, for tests of credentials
python_walk    one walk through every method, for each of Google's Python clients
scene          what a client of any language needs to call every method: a bucket, a data set, a trained model, names
"""
