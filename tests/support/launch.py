import sys

import uvicorn
from visioncraft.app import create_app
from visioncraft.errors import ConfigurationError
from visioncraft.settings import load_settings

try:
    s = load_settings()
    app = create_app(s)
except ConfigurationError as e:
    sys.exit("Error: " + e.message)
uvicorn.run(app, host=s.server.host, port=s.server.port)
